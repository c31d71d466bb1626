"""Legal holds: records, and patients with all their records, that nothing may erase while a matter is open.

Sealed rows in the index of the records. Knows no retention term and no peer. docs/spec/records.md, ERASE-6.
"""

from collections.abc import Iterator

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import LocalError
from l2.node.bodies import Record
from l2.node.bodies.index import Index

__all__ = ["PATIENT_HOLD", "RECORD_HOLD", "Hold", "Holds"]

RECORD_HOLD, PATIENT_HOLD = "record", "patient"
_ROW_BYTES_MAX = 64 * 1024


class Hold(Shape, frozen=True):
    """`what` is `record` or `patient`, `name` the record's id in hex or the hospital's own patient id."""

    what: str
    name: str
    reason: str
    since_ms: int


_decode = decoder(Hold, bytes_max=_ROW_BYTES_MAX, what="legal hold")


class Holds:
    """Every method is synchronous and safe in a worker thread."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._rows = index.table("holds")

    def _key(self, what: str, name: str) -> bytes:
        return self._index.keyed_hash(b"hold", what.encode(), name.encode())

    def put(self, what: str, name: str, reason: str, now_ms: int) -> Hold:
        """Hold it; a hold that stands already stays as it is. Raises `LocalError` without a reason."""
        if not reason.strip():
            raise LocalError("a legal hold needs a reason", "Name the matter; it is shown wherever the hold counts.")
        known = self._rows.get(self._key(what, name))
        if known is not None:
            return _decode(known)
        hold = Hold(what, name, reason, now_ms)
        self._rows.put(self._key(what, name), encode(hold))
        return hold

    def drop(self, what: str, name: str) -> bool:
        """End a hold; whether there was one."""
        key = self._key(what, name)
        there = self._rows.get(key) is not None
        if there:
            self._rows.delete(key)
        return there

    def all(self) -> list[Hold]:
        return sorted((_decode(row) for _, row in self._rows.scan()), key=lambda hold: (hold.since_ms, hold.name))

    def on(self, record: Record) -> Hold | None:
        """A hold that keeps this record from being erased."""
        return next(self._found(record), None)

    def _found(self, record: Record) -> Iterator[Hold]:
        names = [(RECORD_HOLD, record.id.hex()), *((PATIENT_HOLD, subject) for subject in record.info.subjects)]
        for what, name in names:
            row = self._rows.get(self._key(what, name))
            if row is not None:
                yield _decode(row)
