"""The record store as the desk uses it: records come in, are found, and are shown, a received one only after its access
entry is durable. Contents come and go in pieces; short ones that come at the same time are stored together."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

import trio

from l1.ground.codes import Label, PurposeOfUse, RecordClass, Role
from l1.ground.faults import Fault, LocalError, Refused
from l1.rules.log.entries import Access, AccessTerms
from l2.desk import words
from l2.node.bodies import Intake, New, Record, look
from l2.node.clock import now_ms
from l2.node.exchange.afterclose import ClosedLog, check_still_granted
from l2.node.exchange.dealing import Dealing, why_void
from l2.node.exchange.excess import asked_for, check_asked
from l2.node.exchange.terms import code_of
from l2.node.exchange.views import record_view
from l2.node.hospital import Hospital
from l2.protocol.phases import Phase
from l2.records import Piece, is_divisible, pieces_of
from l2.records.cipher import Octets

__all__ = ["Reading"]

HAND_OVER_BYTES = 1024 * 1024  # pieces of a request are handed to a worker thread in such portions
CROWD_MAX = 512  # records stored with one sync
WAITING_MAX = 1_024
FITTING_MAX = 65_536  # some megabytes

Learn = Callable[[Sequence[str]], Awaitable[None]]


@dataclass(slots=True)
class _Arrival:
    """A content that is here, and whoever waits for its record."""

    intake: Intake
    rest: bytes
    name: str
    said: int | None
    done: trio.Event = field(default_factory=trio.Event)
    became: tuple[Record, bool] | Exception | None = None


class Reading:
    """See the module. `run` is its task."""

    def __init__(self, hospital: Hospital, threads: trio.CapacityLimiter, learn: Learn) -> None:
        """`learn` writes down patients, before a record of theirs is known."""
        self._records, self._threads, self._learn = hospital.bodies.records, threads, learn
        self._fitting: set[bytes] = set()  # received records that hold what was asked for, and no more
        self.closed_log = ClosedLog(hospital.bodies.index)
        self._arrivals_in, self._arrivals = trio.open_memory_channel[_Arrival](WAITING_MAX)

    # -- in

    async def add(
        self, content: bytes | AsyncIterable[bytes], name: str, said: int | None = None
    ) -> tuple[Record, bool]:
        """Take a record in (what is inside, if it is a gzip file), and say whether it was here already.

        `said`: its label, whatever codes are inside. Raises `Refused` for a damaged gzip file or too many patients,
        `LocalError` for too many bytes.
        """
        intake = self._records.intake()
        portion = bytearray()
        pieces = _all_here(content) if isinstance(content, bytes) else content
        try:
            async for piece in pieces:
                portion += piece
                if len(portion) >= HAND_OVER_BYTES:
                    await trio.to_thread.run_sync(intake.feed, bytes(portion), limiter=self._threads)
                    portion.clear()
        except BaseException:
            intake.abandon()
            raise
        became = await self._become(_Arrival(intake, bytes(portion), name, said))
        if isinstance(became, Exception):
            raise became
        return became

    async def add_all(
        self, crowd: Sequence[tuple[str, bytes]], said: int | None
    ) -> list[tuple[Record, bool] | Exception]:
        """The same for many that are here already, by name and content: what became of each, in their order."""
        arrivals = [_Arrival(self._records.intake(), content, name, said) for name, content in crowd]
        for arrival in arrivals:
            await self._arrivals_in.send(arrival)
        return [await self._became(arrival) for arrival in arrivals]

    async def _become(self, arrival: _Arrival) -> tuple[Record, bool] | Exception:
        await self._arrivals_in.send(arrival)
        return await self._became(arrival)

    @staticmethod
    async def _became(arrival: _Arrival) -> tuple[Record, bool] | Exception:
        await arrival.done.wait()
        assert arrival.became is not None
        return arrival.became

    async def run(self) -> None:
        """Make records of what has come in, as many at once as wait."""
        while True:
            crowd = [await self._arrivals.receive()]
            while len(crowd) < CROWD_MAX:
                try:
                    crowd.append(self._arrivals.receive_nowait())
                except trio.WouldBlock:
                    break
            try:
                await self._keep(crowd)
            except OSError as error:
                cause = f"the record could not be stored ({error.strerror or error})"
                for arrival in crowd:
                    arrival.became = arrival.became or LocalError(cause, "Is the disk full? Nothing was added.")
            except LocalError as error:
                for arrival in crowd:
                    arrival.became = arrival.became or error
            for arrival in crowd:
                arrival.done.set()

    async def _keep(self, crowd: list[_Arrival]) -> None:
        news = await trio.to_thread.run_sync(_finish, crowd, limiter=self._threads)
        subjects = list({subject for _, new in news for subject in new.info.subjects})
        await self._learn(subjects)
        kept = await trio.to_thread.run_sync(self._store, [new for _, new in news], limiter=self._threads)
        await self._learn(subjects)  # and for a channel that was opened in between, and has read what there was before
        for (arrival, _), became in zip(news, kept, strict=True):
            arrival.became = became

    def _store(self, news: list[New]) -> list[tuple[Record, bool]]:
        return self._records.keep(news, now_ms=now_ms())

    # -- found

    def find(self, record_id: bytes) -> Record:
        """Raises `LocalError`."""
        (record,) = self.find_all([record_id])
        return record

    def find_all(self, record_ids: Sequence[bytes]) -> list[Record]:
        """Raises `LocalError` for the first that is not here."""
        found: list[Record] = []
        for record_id, record in zip(record_ids, self._records.find_many(record_ids), strict=True):
            if record is None:
                cause = f"there is no record {record_id.hex()}"
                raise LocalError(cause, "`interward record list` shows what there is.")
            found.append(record)
        return found

    def search(
        self,
        patient: str | None,
        class_: str | None,
        label: str | None,
        origin: str | None,
        period: tuple[int | None, int | None] = (None, None),
    ) -> list[words.RecordView]:
        """`origin`: `own`, `received`, or the hex id of a hospital. Raises `LocalError` for words it does not know."""
        custodian: bytes | None = None
        if origin is not None and origin not in ("own", "received"):
            try:
                custodian = bytes.fromhex(origin)
            except ValueError:
                cause = f"{origin!r} is no origin of records"
                raise LocalError(
                    cause, "Say own, received, or a hospital with which there is a channel: its name, or its id in hex."
                ) from None
        found = self._records.search(
            subject=patient,
            record_class=None if class_ is None else code_of(RecordClass, class_),
            label=None if label is None else code_of(Label, label),
            own={"own": True, "received": False}.get(origin or ""),
            custodian=custodian,
            from_ms=period[0],
            until_ms=period[1],
        )
        return [record_view(record) for record in found]

    # -- out

    async def open(self, record: Record) -> AsyncIterator[bytes]:
        """The content in pieces. The first is here, and authenticated, when this returns."""
        portions = _Portions(self._records.open_pieces(record.id), self._threads)
        await portions.load()
        return portions

    async def access(self, dealing: Dealing, record: Record, practitioner: str, role: str, purpose: str) -> None:
        """Write down, durably, that a practitioner opens a received record. Raises `Refused` (NOT_GRANTED) with the
        fold's reason where that may not be, or where it holds more than was asked for."""
        if not practitioner:
            raise LocalError("nobody is named who opens the record", "Name the practitioner, the role, the purpose.")
        await self._check_asked(dealing, record)
        if dealing.channel.phase is not Phase.OPEN:
            self._access_after_close(dealing, record, practitioner, code_of(Role, role), code_of(PurposeOfUse, purpose))
            return
        origin = record.origin
        assert origin is not None
        who = dealing.practitioners[practitioner]
        terms = AccessTerms(who, code_of(Role, role), code_of(PurposeOfUse, purpose))
        outcome = await dealing.write([Access(now_ms(), origin.grant)], [terms])
        if outcome.refused:
            reason = why_void(outcome.refused[0][1])
            raise Refused(Fault.NOT_GRANTED, f"grant {origin.grant} does not allow this access: {reason}")

    async def _check_asked(self, dealing: Dealing, record: Record) -> None:
        """[PIECE-8]"""
        asked = asked_for(dealing, record)
        if asked is None or record.id in self._fitting:
            return
        pieces = await trio.to_thread.run_sync(self._pieces, record, limiter=self._threads)
        check_asked(dealing, record, pieces, asked)
        # Neither the content behind an id nor the request that it came for can change: once is enough.
        if len(self._fitting) >= FITTING_MAX:
            self._fitting.clear()
        self._fitting.add(record.id)

    def _pieces(self, record: Record) -> list[Piece]:
        """In a thread. What can be cut was looked at whole when it came, so it fits into memory."""
        divisible = is_divisible(record.info.media_type)
        return pieces_of(self._records.open(record.id), record.info.media_type) if divisible else []

    def _access_after_close(
        self, dealing: Dealing, record: Record, practitioner: str, role: Role, purpose: PurposeOfUse
    ) -> None:
        # [AFTER-1] The logs take no entries any more; a signed line of our own stands in for one.
        assert record.origin is not None
        check_still_granted(dealing, record.origin.grant, purpose, now_ms())
        self.closed_log.note(record, dealing, practitioner=practitioner, role=role, purpose=purpose, now_ms=now_ms())


class _Portions:
    """A content in portions, one ahead. No generator: who goes away in the middle leaves nothing to be closed."""

    def __init__(self, pieces: Iterator[Octets], threads: trio.CapacityLimiter) -> None:
        self._pieces, self._threads = pieces, threads
        self._portion = b""

    async def load(self) -> None:
        self._portion = await trio.to_thread.run_sync(_portion, self._pieces, limiter=self._threads)

    def __aiter__(self) -> "_Portions":
        return self

    async def __anext__(self) -> bytes:
        portion = self._portion
        if not portion:
            raise StopAsyncIteration
        await self.load()
        return portion


async def _all_here(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _finish(crowd: list[_Arrival]) -> list[tuple[_Arrival, New]]:
    """In a thread: what has come in whole. One that is damaged is no other's fault."""
    news: list[tuple[_Arrival, New]] = []
    for arrival in crowd:
        try:
            arrival.intake.feed(arrival.rest)
            taken = arrival.intake.finish()
            news.append((arrival, New(taken, arrival.name, look(taken), arrival.said)))
        except (Refused, LocalError, OSError) as error:
            arrival.intake.abandon()
            arrival.became = error
    return news


def _portion(pieces: Iterator[Octets]) -> bytes:
    """In a thread: the next megabyte or so; nothing at the end."""
    parts: list[Octets] = []
    size = 0
    while size < HAND_OVER_BYTES and (piece := next(pieces, b"")):
        parts.append(piece)
        size += len(piece)
    return b"".join(parts)
