"""A journal: every truncation, tear and flipped bit gives what was acknowledged, or is named."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from l1.serving.journal import PAGE_BYTES, JournalDamaged, JournalForeign, Record, encode_record, encode_rows, unwritten
from l1.serving.journal_file import JournalFile

AREA = 4 * PAGE_BYTES
OLD, RUN, OTHER = (bytes([at]) * 16 for at in (1, 2, 3))
BEHIND = 2  # records that the store holds already
SECTOR = 512


def record(number: int, run: bytes = RUN, size: int = 40) -> Record:
    return Record(run, number, [(b"place %d" % number, bytes([number % 256]) * size), (b"again", b"%d" % number)])


def encoded(one: Record) -> bytes:
    return encode_record(one.run, one.number, encode_rows(one.rows))


def written(path: Path, records: Sequence[Record], run: bytes = RUN, before: bytes = OLD, area: int = AREA) -> bytes:
    """A file to which these were appended, each in the other area where it did not fit."""
    journal = JournalFile(path, area, run, before)
    for one in records:
        if not journal.fits(len(encoded(one))):
            journal.switch()
        journal.append(encoded(one))
    journal.close()
    return path.read_bytes()


def found(journal: bytes, behind: int = BEHIND) -> list[tuple[int, list[tuple[bytes, bytes]]]] | str:
    """The records that are to be replayed; or what is wrong."""
    try:
        return [(one.number, list(one.rows)) for one in unwritten(journal, RUN, behind)]
    except JournalDamaged as error:
        return str(error)


@pytest.fixture
def history() -> list[Record]:
    return [record(number) for number in range(1, 8)]


@pytest.fixture
def journal(tmp_path: Path, history: list[Record]) -> bytes:
    """Seven records of a page: four in the first area, three in the second; two of them are in the store."""
    return written(tmp_path / "journal", history)


def test_what_comes_out_is_what_went_in(journal: bytes, history: list[Record]) -> None:
    whole = [(one.number, list(one.rows)) for one in history]
    assert found(journal) == whole[BEHIND:]
    assert [one.number for one in unwritten(journal, RUN, 0)] == list(range(1, 8))
    assert unwritten(journal, RUN, 7) == []


def test_every_flipped_bit_is_harmless_or_named(journal: bytes) -> None:
    """A record that was acknowledged is never lost unheard. Of the last one nobody can tell whether it was damaged or
    torn as it was written: it is left out, as LMDB leaves out its last transaction when a meta page is damaged."""
    whole = found(journal)
    assert isinstance(whole, list)
    last, used = PAGE_BYTES * (1 + 4 + 2), 200
    named = left_out = 0
    for at in [page + byte for page in range(0, len(journal), PAGE_BYTES) for byte in [*range(used), PAGE_BYTES - 1]]:
        for bit in range(8):
            harmed = bytearray(journal)
            harmed[at] ^= 1 << bit
            now = found(bytes(harmed))
            if isinstance(now, str):
                named += 1
            elif now != whole:
                assert now == whole[:-1], at
                assert last <= at < last + used
                left_out += 1
    assert named > 1_000
    assert left_out > 100


def test_every_truncation_is_named(journal: bytes) -> None:
    assert isinstance(found(journal), list)
    for size in [*range(0, len(journal), 61), len(journal) - 1]:
        assert isinstance(found(journal[:size]), str), size


def test_a_last_record_that_was_torn_is_left_out(tmp_path: Path, history: list[Record]) -> None:
    """At every byte, and with any of its sectors alone. It covers pages that held older records."""
    history = [*history, record(8)]
    before = written(tmp_path / "before", history)
    last = encoded(record(9, size=2 * PAGE_BYTES))
    after = written(tmp_path / "after", [*history, record(9, size=2 * PAGE_BYTES)])
    begin = after.index(last)
    end = begin + len(last.rstrip(b"\0"))
    whole, without = found(after, 4), found(before, 4)
    assert isinstance(whole, list)
    assert whole[:-1] == without
    for cut in range(begin, end):
        assert found(before[:begin] + after[begin:cut] + before[cut:], 4) == without, cut
    for sector in range(begin, end, SECTOR):
        alone = before[:sector] + after[sector : sector + SECTOR] + before[sector + SECTOR :]
        lacking = after[:sector] + before[sector : sector + SECTOR] + after[sector + SECTOR :]
        assert found(alone, 4) == without
        assert found(lacking, 4) == (whole if lacking == after else without)


def test_a_gap_is_named(journal: bytes) -> None:
    page = 3 * PAGE_BYTES
    gone = journal[:page] + bytes(PAGE_BYTES) + journal[page + PAGE_BYTES :]
    assert found(gone) == "record 3 is not there, and 4 is"


def test_records_of_earlier_runs_mean_nothing(tmp_path: Path) -> None:
    """They lie where the file was not written over; all of them are in the store."""
    path = tmp_path / "journal"
    written(path, [record(number, OTHER) for number in range(1, 5)], OTHER, b"\4" * 16)
    written(path, [record(number, OLD) for number in range(5, 7)], OLD, OTHER)
    journal = written(path, [record(7)])
    assert [one.number for one in unwritten(journal, RUN, 6)] == [7]
    assert unwritten(journal, RUN, 7) == []


def test_a_journal_begun_and_not_noted_in_the_store_is_its_own(tmp_path: Path) -> None:
    """The crash between the two: the store still names the run before, and has all of it."""
    path = tmp_path / "journal"
    written(path, [record(number, OLD) for number in (1, 2)], OLD, OTHER)
    journal = written(path, [])
    assert unwritten(journal, OLD, 2) == []
    assert [one.number for one in unwritten(journal, OLD, 1)] == [2]


@pytest.mark.parametrize(
    ("run", "number", "said"),
    [
        (OTHER, 7, "another store's"),  # somebody else's, or two runs older
        (OLD, 2, "a newer store ended"),  # one run older
    ],
)
def test_a_journal_of_another_store_or_time_is_named(journal: bytes, run: bytes, number: int, said: str) -> None:
    with pytest.raises(JournalForeign, match=said):
        unwritten(journal, run, number)


def test_what_a_peer_writes_into_a_row_is_never_taken_for_a_record(tmp_path: Path) -> None:
    """It knows no run: whatever it has put at the beginning of a page has another one, or none."""
    forged = encoded(record(900, bytes(16))) + encoded(record(3, OTHER))

    def padded(more: int) -> Record:
        return Record(RUN, 1, [(b"place", bytes(PAGE_BYTES + more) + forged)])

    at_start = padded(-encoded(padded(0)).index(forged) % PAGE_BYTES)
    journal = written(tmp_path / "journal", [at_start])
    assert [at for at in range(0, len(journal), PAGE_BYTES) if journal.startswith(forged, at)]
    assert [one.number for one in unwritten(journal, RUN, 0)] == [1]


def test_a_file_of_another_size_is_made_anew_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    (tmp_path / "journal.part").write_bytes(b"left by a process that was killed")
    written(path, [record(1)])
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_blocks * 512 >= path.stat().st_size, "the room is reserved"
    journal = written(path, [record(1)], area=2 * AREA)
    assert len(journal) == PAGE_BYTES + 4 * AREA
    assert sorted(one.name for one in tmp_path.iterdir()) == ["journal"]
