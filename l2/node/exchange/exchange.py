"""The exchange of one hospital: everything its desk asks about consents, requests, records, grants and accesses.

The front door: it finds the channel, turns the desk's words into terms, and hands on to the module that does the work.
Each channel has one task for its chores (releases, answers, what a restart left); other parts have tasks of their own.
"""

from collections.abc import AsyncIterable, AsyncIterator, Sequence

import msgspec
import structlog
import trio

from l1.ground.codes import Label, PurposeOfUse, RecordClass, Role
from l1.ground.faults import Fault, LocalError, Refused
from l1.rules.log.entries import Consent, ConsentTerms, Request, RequestTerms, Revoke, Withdraw
from l1.rules.log.fold import CONSENT, GRANT
from l2.desk import words
from l2.desk.drafts import DRAFTS_MAX, Draft, Wait
from l2.link import Line, LineClosed
from l2.node.bodies import serve_pulls
from l2.node.clock import now_ms
from l2.node.exchange import views
from l2.node.exchange.appending import Appended, queue
from l2.node.exchange.background import Background
from l2.node.exchange.book import Book, Paper
from l2.node.exchange.dealing import Dealing
from l2.node.exchange.delivery import Delivery
from l2.node.exchange.drafting import draft_entries, paper_of
from l2.node.exchange.erasing import Erasing
from l2.node.exchange.fetching import Fetching
from l2.node.exchange.learning import Learning
from l2.node.exchange.library import PeerLibrary, Rate
from l2.node.exchange.listening import Listener
from l2.node.exchange.logs import stands
from l2.node.exchange.opening import Opening
from l2.node.exchange.pulling import Pulls
from l2.node.exchange.reading import Reading
from l2.node.exchange.shares import Shares
from l2.node.exchange.sharing import CROWD_THREADS, THREADS, Sharing
from l2.node.exchange.terms import code_of, mask_of
from l2.node.exchange.transfers import Transfers
from l2.node.hospital import Hospital
from l2.node.keeper import Keeper
from l2.protocol.phases import Phase
from l2.protocol.policy import self_test

__all__ = ["Exchange"]

RETRY_S = 1.0  # before a release that failed is tried again

log = structlog.get_logger()


class Exchange:
    """See the module. `run` is its task; the rest may be called from any other."""

    def __init__(self, hospital: Hospital) -> None:
        self._hospital = hospital
        self._book = Book(hospital.bodies.index)
        threads, crowds = trio.CapacityLimiter(THREADS), trio.CapacityLimiter(CROWD_THREADS)
        self._pulls = Pulls(hospital.connect_records)
        self._transfers = Transfers(hospital)
        self._sharing = Sharing(hospital, self._book, threads, crowds)
        self._opening = Opening(hospital, threads, crowds)
        self._fetching = Fetching(hospital, self._pulls, self._opening, self._transfers, threads, crowds)
        self._background = Background(hospital, self._fetching)
        self._dealings: dict[bytes, Dealing] = {}
        self._learning = Learning(hospital, self._book, self._dealings)
        self._reading = Reading(hospital, threads, self._learning.subjects)
        self._shares = Shares(self._book, self._reading, self._sharing, self._learning)
        self.closed_log = self._reading.closed_log
        self._listener = Listener(hospital, self._background.fetch, self._opening)
        self._delivery = Delivery(hospital, self._fetching, self._dealings)
        self._rates: dict[bytes, Rate] = {}
        self.erasing = Erasing(hospital, self._book, self._sharing, self._pulls, self._dealings)
        self._nursery: trio.Nursery | None = None

    # -- tasks ----------------------------------------------------------------------------------------------------

    def attach(self, keeper: Keeper) -> None:
        """Take on a channel, and whatever was under way in it when the process ended."""
        dealing = Dealing(keeper, keeper.channel.context.chain, self._hospital.peer_of(keeper))
        self._dealings[dealing.id] = dealing
        keeper.arrived.append(lambda _, arrived: self._listener.heard(dealing, arrived))
        keeper.secret_shown.append(lambda _, grant, secret: self._listener.shown(dealing, grant, secret))
        self._sharing.take_up(dealing)
        dealing.chores.add(("catch up", 0))
        if self._nursery is not None:
            self._nursery.start_soon(self._keep_chores, dealing)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do what arrives and what was left, until cancelled. No grant's failure ends it."""
        self_test()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                for part in (self._pulls, self._opening, self._background, self._reading, self._delivery, self.erasing):
                    nursery.start_soon(part.run)
                for dealing in self._dealings.values():
                    nursery.start_soon(self._keep_chores, dealing)
                task_status.started()
                await trio.sleep_forever()
            finally:
                self._nursery = None

    async def _keep_chores(self, dealing: Dealing) -> None:
        while True:
            what, index = await dealing.chores.take()
            try:
                await self._chore(dealing, what, index)
            except (Refused, LocalError, LineClosed, OSError) as error:
                log.warning("chore failed", what=what, channel=dealing.keeper.name, index=index, detail=str(error))
                if what == "release" and self._nursery is not None and dealing.channel.phase is Phase.OPEN:
                    self._nursery.start_soon(self._release_after_a_pause, dealing)

    @staticmethod
    async def _release_after_a_pause(dealing: Dealing) -> None:
        await trio.sleep(RETRY_S)
        dealing.chores.add(("release", 0))

    async def _chore(self, dealing: Dealing, what: str, index: int) -> None:
        match what:
            case "release":
                await self._sharing.release(dealing)
            case "answer":
                await self._sharing.answer(dealing, index)
            case "tidy":
                await self._sharing.tidy(dealing)
            case "adopt":
                await self._sharing.adopt(dealing)
            case _:
                await self._catch_up(dealing)
        await self._learning.fresh(dealing)

    async def _catch_up(self, dealing: Dealing) -> None:
        """What a process that has just started owes this channel."""
        await trio.to_thread.run_sync(self._learning.all_subjects, dealing)
        for index in self._fetching.unfinished(dealing):
            self._background.fetch(dealing, index)
        if self._hospital.config.auto_fetch:
            for index in await self._fetching.unreceived(dealing):
                self._background.fetch(dealing, index)
        for index in self._sharing.unanswered(dealing, emergencies_only=not self._hospital.config.auto_grant):
            dealing.chores.add(("answer", index))

    # -- entries --------------------------------------------------------------------------------------------------

    async def append_drafts(self, channel: bytes, drafts: Sequence[Draft], wait: Wait) -> words.Written:
        """Write entries; returns once they are on our disk (`durable`) or acknowledged by the peer (`receipt`)."""
        return await (await self.queue_drafts(channel, drafts)).written(wait)

    async def queue_drafts(self, channel: bytes, drafts: Sequence[Draft]) -> Appended:
        """The same, up to where the entries are sure to be written if the channel takes them, and before all later."""
        dealing = self._dealing(channel)
        if not 0 < len(drafts) <= DRAFTS_MAX:
            raise LocalError(f"{len(drafts)} drafts", f"Send 1 to {DRAFTS_MAX} at a time.")
        drafted = draft_entries(dealing, drafts, now_ms(), bench=self._hospital.config.bench)
        await self._file(drafted.papers)
        await self._learning.fresh(dealing)
        return await queue(dealing.keeper, drafted.entries, drafted.terms)

    async def grant_consent(self, wanted: words.ConsentWanted) -> int:
        """Write a patient's directive into the log, and keep the document behind it."""
        dealing = self._dealing(bytes.fromhex(wanted.channel))
        digest, paper = paper_of(b"" if wanted.document is None else msgspec.json.encode(wanted.document))
        terms = ConsentTerms(
            subject=dealing.patients[wanted.patient],
            permit=wanted.decision == "permit",
            purposes=mask_of(PurposeOfUse, wanted.purposes),
            classes=mask_of(RecordClass, wanted.classes),
            label=code_of(Label, wanted.label_ceiling),
            from_ms=wanted.from_ms,
            until_ms=wanted.until_ms,
            document=digest,
        )
        await self._file([(digest, paper)])
        await self._learning.fresh(dealing)
        return await dealing.write_one(Consent(now_ms()), terms, "the consent")

    def consents(self) -> list[words.ConsentView]:
        return [view for dealing in self._dealings.values() for view in views.consent_views(dealing, self._book)]

    async def withdraw_consent(self, channel: bytes, index: int) -> None:
        dealing = self._dealing(channel)
        if not stands(dealing.channel, dealing.own, index, CONSENT):
            raise LocalError(f"there is no consent {index} in our log", "`interward consent list` shows them.")
        await dealing.write_one(Withdraw(now_ms(), index), None, "the withdrawal")

    async def request(self, wanted: words.RecordWanted) -> int:
        """Ask the custodian for records."""
        dealing = self._dealing(bytes.fromhex(wanted.channel))
        if wanted.emergency and not wanted.justification:
            raise LocalError("an emergency needs a justification", "Say why; it stays here, and is reviewed later.")
        justification = b""
        if wanted.emergency:
            justification, paper = paper_of(wanted.justification.encode())
            await self._file([(justification, paper)])
        terms = RequestTerms(
            subject=dealing.patients[wanted.patient],
            purpose=code_of(PurposeOfUse, wanted.purpose),
            practitioner=dealing.practitioners[wanted.practitioner],
            role=code_of(Role, wanted.role),
            classes=mask_of(RecordClass, wanted.classes),
            data_from_ms=wanted.from_ms,
            data_until_ms=wanted.to_ms,
            justification=justification,
        )
        await self._learning.fresh(dealing)
        return await dealing.write_one(Request(now_ms(), wanted.emergency), terms, "the request")

    def requests(self) -> list[words.RequestView]:
        return [view for dealing in self._dealings.values() for view in views.request_views(dealing, self._book)]

    # -- records --------------------------------------------------------------------------------------------------

    async def add_record(
        self, pieces: bytes | AsyncIterable[bytes], name: str, label: str | None = None
    ) -> words.RecordAdded:
        """`label`: what a person says, whatever codes are inside; of a known record it changes the label."""
        said = None if label is None else code_of(Label, label)
        record, known = await self._reading.add(pieces, name, said)
        return views.added_view(record, known=known)

    async def add_crowd(self, crowd: Sequence[tuple[str, bytes]], label: str | None) -> list[words.AddedOne]:
        """Many short records at once, by name and content: what became of each."""
        said = None if label is None else code_of(Label, label)
        return [views.added_one(became) for became in await self._reading.add_all(crowd, said)]

    def records(
        self,
        patient: str | None = None,
        class_: str | None = None,
        label: str | None = None,
        origin: str | None = None,
        from_ms: int | None = None,
        until_ms: int | None = None,
    ) -> list[words.RecordView]:
        """`origin`: `own`, `received`, or a hospital's id in hex. The period is that of the data."""
        return self._reading.search(patient, class_, label, origin, (from_ms, until_ms))

    def record(self, record_id: bytes) -> words.RecordView:
        return views.record_view(self._reading.find(record_id))

    async def content(
        self, record_id: bytes, practitioner: str, role: str, purpose: str
    ) -> tuple[int, AsyncIterator[bytes]]:
        """A record's size and its plain bytes, in pieces. For a received one the access entry is durable before."""
        record = self._reading.find(record_id)
        if record.origin is not None:
            dealing = self._dealing(record.origin.channel)
            await self._reading.access(dealing, record, practitioner, role, purpose)
            await self._learning.fresh(dealing)
        return record.size, await self._reading.open(record)

    async def share(self, record_id: bytes, wanted: words.Share) -> words.Granted:
        """Grant a record, or what is wanted of it, under what policy permits.

        Raises `Refused` (NOT_GRANTED) with policy's reason.
        """
        return await self._shares.one(self._dealing(bytes.fromhex(wanted.channel)), record_id, wanted)

    async def share_all(self, record_ids: Sequence[bytes], wanted: words.Share) -> list[int]:
        """Grant records, all or none of them: what policy denies for one is raised before any grant is written."""
        return await self._shares.all(self._dealing(bytes.fromhex(wanted.channel)), record_ids, wanted)

    async def share_each(self, record_ids: Sequence[bytes], wanted: words.Share) -> list[words.Granted | Exception]:
        """Grant what can be granted of each record, in their order; why not, of the others."""
        return await self._shares.each(self._dealing(bytes.fromhex(wanted.channel)), record_ids, wanted)

    async def pieces(self, record_id: bytes) -> words.Pieces:
        """The resources of a record of our own, and the root that an extract of it leads to."""
        record = self._reading.find(record_id)
        if record.origin is not None:
            raise LocalError("a received record is listed from its content", "Open it: `interward record show --open`.")
        return await self._sharing.list_pieces(record)

    def grants(self, channel: bytes | None, *, is_open: bool = False) -> list[words.GrantView]:
        """The newest of both sides; `is_open`: the oldest of the peer's that we could fetch and have not."""
        dealings = list(self._dealings.values()) if channel is None else [self._dealing(channel)]
        bodies, shown = self._hospital.bodies, views.open_grant_views if is_open else views.grant_views
        return [view for dealing in dealings for view in shown(dealing, self._book, bodies)]

    async def fetch(self, channel: bytes, index: int) -> words.Fetched:
        """Bring a granted record home: pull, confirm, wait for the secret, verify, store."""
        (fetched,) = await self.fetch_all(channel, [index])
        if isinstance(fetched, Exception):
            raise fetched
        return fetched

    async def fetch_all(self, channel: bytes, indices: Sequence[int]) -> list[words.Fetched | Exception]:
        """Bring granted records home, in the order asked for: each one's record, or why there is none."""
        return await self._delivery.fetch_all(self._dealing(channel), indices)

    def transfers(self) -> list[words.TransferView]:
        """Downloads under way."""
        return self._transfers.views()

    async def revoke(self, channel: bytes, index: int) -> None:
        dealing = self._dealing(channel)
        if not stands(dealing.channel, dealing.own, index, GRANT):
            raise LocalError(f"there is no grant {index} in our log", "`interward record list` shows them.")
        await dealing.write_one(Revoke(now_ms(), index), None, "the revocation")

    async def serve_pulls_for(self, peer: bytes, line: Line) -> None:
        """Answer pulls on a line until it ends, which raises `LineClosed`."""
        rate = self._rates.setdefault(peer, Rate(self._hospital.config.record_bytes_per_s))
        dealings = self._dealings
        library = PeerLibrary(self._hospital, self._sharing, self.erasing, rate, dealings=dealings, peer=peer)
        await serve_pulls(line, library)

    # -- helpers --------------------------------------------------------------------------------------------------

    def who(self, channel: bytes, handle: bytes) -> str | None:
        """The person behind a handle, in our own words, if this hospital has met them."""
        return self._book.who(channel, handle)

    def _dealing(self, channel: bytes) -> Dealing:
        """Raises `Refused` (UNKNOWN_CHANNEL)."""
        found = self._dealings.get(channel)
        if found is None:
            raise Refused(Fault.UNKNOWN_CHANNEL, f"this hospital keeps no channel {channel[:4].hex()}…")
        return found

    async def _file(self, papers: Sequence[tuple[bytes, Paper]]) -> None:
        for digest, paper in papers:
            await trio.to_thread.run_sync(self._book.file_paper, digest, paper)
