"""The record store as the desk uses it: records come in, are found, and are shown, a received one only after its access
entry is durable."""

import trio

from l1.ground.codes import Label, PurposeOfUse, RecordClass, Role
from l1.ground.faults import Fault, LocalError, Refused
from l1.rules.log.entries import Access, AccessTerms
from l2.desk import words
from l2.node.bodies import Origin, Record
from l2.node.clock import now_ms
from l2.node.exchange.dealing import Dealing, why_void
from l2.node.exchange.terms import code_of
from l2.node.exchange.views import record_view
from l2.node.hospital import Hospital
from l2.records import is_gzip, unpack_gzip

__all__ = ["Reading"]


class Reading:
    """See the module."""

    def __init__(self, hospital: Hospital, threads: trio.CapacityLimiter) -> None:
        self._records, self._threads = hospital.bodies.records, threads

    async def add(self, content: bytes, name: str) -> tuple[Record, bool]:
        """Take a record in (what is inside, if it is a gzip file), and say whether it was here already.

        Raises `Refused` for a damaged gzip file, `LocalError` for too much.
        """

        def work() -> tuple[Record, bool]:
            opened = unpack_gzip(content) if is_gzip(content) else content
            return self._records.add(opened, name=name, now_ms=now_ms())

        return await trio.to_thread.run_sync(work, limiter=self._threads)

    def find(self, record_id: bytes) -> Record:
        """Raises `LocalError`."""
        record = self._records.find(record_id)
        if record is None:
            raise LocalError(f"there is no record {record_id.hex()}", "`interward record list` shows what there is.")
        return record

    def search(
        self, patient: str | None, class_: str | None, label: str | None, origin: str | None
    ) -> list[words.RecordView]:
        """`origin`: `own`, `received`, or the hex id of a hospital. Raises `LocalError` for words it does not know."""
        custodian: bytes | None = None
        if origin is not None and origin not in ("own", "received"):
            try:
                custodian = bytes.fromhex(origin)
            except ValueError:
                cause = f"{origin!r} is no origin of records"
                raise LocalError(cause, "Say own, received, or a hospital's id in hex.") from None
        found = self._records.search(
            subject=patient,
            record_class=None if class_ is None else code_of(RecordClass, class_),
            label=None if label is None else code_of(Label, label),
            own={"own": True, "received": False}.get(origin or ""),
            custodian=custodian,
        )
        return [record_view(record) for record in found]

    async def open(self, record: Record) -> bytes:
        return await trio.to_thread.run_sync(self._records.open, record.id, limiter=self._threads)

    async def access(self, dealing: Dealing, origin: Origin, practitioner: str, role: str, purpose: str) -> None:
        """Write down, durably, that a practitioner opens a received record. Raises `Refused` (NOT_GRANTED) with the
        fold's reason where that may not be."""
        if not practitioner:
            raise LocalError("nobody is named who opens the record", "Name the practitioner, the role, the purpose.")
        who = dealing.practitioners[practitioner]
        terms = AccessTerms(who, code_of(Role, role), code_of(PurposeOfUse, purpose))
        outcome = await dealing.write([Access(now_ms(), origin.grant)], [terms])
        if outcome.refused:
            reason = why_void(outcome.refused[0][1])
            raise Refused(Fault.NOT_GRANTED, f"grant {origin.grant} does not allow this access: {reason}")
