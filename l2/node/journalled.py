"""What the journal of a channels' store holds beyond the store: for the process that opens it, and for who looks on."""

from mmap import ACCESS_READ, mmap
from pathlib import Path

from l1.ground.faults import LocalError
from l1.serving.journal import JournalDamaged, JournalForeign, unwritten
from l2.node.layouts import Standing
from l2.node.overlay import Layer
from l2.protocol.rows import REMEDY, open_row

__all__ = ["journal_of", "journalled"]


def journal_of(path: Path) -> Path:
    """Where the journal of a store lies: beside it."""
    return path.with_suffix(".journal")


def journalled(path: Path, standing: Standing) -> Layer:
    """The rows that were committed and are not in the store yet; nothing is changed.

    Raises `LocalError` for a journal that is lacking, damaged, or not this store's.
    """
    journal, layer = journal_of(path), Layer(standing.number)
    if not journal.exists():
        if standing.is_open:
            raise LocalError(f"{journal} is not there, and what was acknowledged last stood in it", _put_back(journal))
        return layer
    try:
        with journal.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            records = unwritten(data, standing.run, standing.number)
    except JournalForeign as error:
        raise LocalError(f"{journal} does not belong to {path.name}: {error}", _part(journal, standing)) from None
    except JournalDamaged as error:
        raise LocalError(f"{journal} is damaged: {error}", _part(journal, standing)) from None
    for record in records:
        for place, stored in record.rows:
            open_row(place, stored)
        layer.put(record.rows, record.number)
    return layer


def _put_back(journal: Path) -> str:
    return f"Put {journal.name} back. If it is gone: {REMEDY}"


def _part(journal: Path, standing: Standing) -> str:
    if standing.is_open:
        return _put_back(journal)
    return (
        f"Put the store back that belongs to it. If there is none, move {journal.name} away: the store itself is whole,"
        " if perhaps old, and the peers give back what it lacks."
    )
