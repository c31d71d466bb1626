"""A hospital at its desk: real folder, stores and channel; whoever would act on them only notes what it was asked."""

from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import trio

from l1.ground.codes import PurposeOfUse, RecordClass, mask
from l1.ground.hashing import digest
from l1.ground.sealed import Cost
from l1.reader import Reader, dump_genesis
from l1.rules import state as l1_state
from l1.rules.log.entries import Access, AccessTerms, Consent, ConsentTerms, Grant, GrantTerms, Revoke
from l1.serving.listening import bind
from l2.desk import words
from l2.desk.desk import Desk
from l2.desk.drafts import Draft
from l2.node.api import make_app, serve_desk
from l2.node.bodies import Bodies
from l2.node.exchange import Exchange
from l2.node.folder import Config, Folder, make_folder
from l2.node.hospital import Hospital
from l2.node.keeper import Keeper
from l2.node.operations import Operations
from l2.node.store import ChannelStore
from l2.records.keys import handle
from tests.unit.l1.world import genesis
from tests.unit.l2.protocol.world import NOW_MS, OPENING, Pair

TOKEN = "a token that nobody guesses"
PASSWORD = "correct horse"
CHEAP = Cost(1, 8192)
PATIENT, DOCTOR = "patient-1", "doctor-1"
PURPOSES = mask([PurposeOfUse.TREAT, PurposeOfUse.HPAYMT])
HOUR_MS = 3_600_000


class NotingExchange(Exchange):
    """Notes what it was asked; answers with what a test has put into `answer`, or raises it."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.answer: Any = None
        self.people: dict[tuple[bytes, bytes], str] = {}

    def _note(self, *asked: Any) -> Any:
        self.asked.append(asked)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def who(self, channel: bytes, handle: bytes) -> str | None:
        return self.people.get((channel, handle))

    async def append_drafts(self, channel: bytes, drafts: Sequence[Draft], wait: str) -> words.Written:
        written: words.Written = self._note("append", channel, tuple(drafts), wait)
        return written

    async def add_record(
        self, pieces: bytes | AsyncIterable[bytes], name: str, label: str | None = None
    ) -> words.RecordAdded:
        content = pieces if isinstance(pieces, bytes) else b"".join([piece async for piece in pieces])
        added: words.RecordAdded = self._note("add", content, name, label)
        return added

    def records(
        self,
        patient: str | None = None,
        class_: str | None = None,
        label: str | None = None,
        origin: str | None = None,
        from_ms: int | None = None,
        until_ms: int | None = None,
    ) -> list[words.RecordView]:
        found: list[words.RecordView] = self._note("records", patient, class_, label, origin, from_ms, until_ms)
        return found

    async def content(
        self, record_id: bytes, practitioner: str, role: str, purpose: str
    ) -> tuple[int, AsyncIterator[bytes]]:
        content: bytes = self._note("content", record_id, practitioner, role, purpose)

        async def pieces() -> AsyncIterator[bytes]:
            yield content

        return len(content), pieces()

    async def grant_consent(self, wanted: words.ConsentWanted) -> int:
        index: int = self._note("consent", wanted)
        return index

    async def revoke(self, channel: bytes, index: int) -> None:
        self._note("revoke", channel, index)


class NotingOperations(Operations):
    """The same for operations."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.answer: Any = None

    async def settle(self, channel: bytes) -> words.Settled:
        self.asked.append(("settle", channel))
        if isinstance(self.answer, Exception):
            raise self.answer
        settled: words.Settled = self.answer
        return settled

    async def close_channel(self, channel: bytes, *, alone: bool, lost: bool) -> words.Closed:
        self.asked.append(("close", channel, alone, lost))
        return words.Closed(how="alone", height=3)


class World:
    """The hospital is side 0 of the pair; `peer` is known by name."""

    def __init__(self, hospital: Hospital, pair: Pair) -> None:
        self.hospital, self.pair = hospital, pair
        self.exchange, self.operations = NotingExchange(), NotingOperations()

    @property
    def channel(self) -> str:
        return self.pair.channels[0].id.hex()

    def asking(self, token: str | None = TOKEN) -> httpx.AsyncClient:
        app = make_app(self.hospital, self.exchange, self.operations, token=TOKEN)
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://desk", headers=headers)

    @asynccontextmanager
    async def desk(self) -> AsyncIterator[Desk]:
        """The real client over a real socket."""
        async with trio.open_nursery() as nursery:
            listener, url = bind("127.0.0.1", 0)

            async def serve(task_status: trio.TaskStatus[None]) -> None:
                await serve_desk(
                    self.hospital,
                    self.exchange,
                    self.operations,
                    listener=listener,
                    token=TOKEN,
                    task_status=task_status,
                )

            await nursery.start(serve)
            async with Desk(url, TOKEN) as desk:
                yield desk
            nursery.cancel_scope.cancel()


@contextmanager
def open_world(folder: Path) -> Iterator[World]:
    """A hospital with one open channel, both of whose logs hold entries."""
    path = folder / "hospital"
    config = Config(name="General", chain_url="http://chain")
    make_folder(path, config, dump_genesis(genesis()), PASSWORD, CHEAP)
    held = Folder(path)
    keys = held.keys(PASSWORD)
    hospital = Hospital(
        id=OPENING.hospitals[0],
        name="General",
        folder=held,
        config=config,
        keys=keys,
        reader=Reader(genesis(), "http://chain", now_ms=lambda: NOW_MS),
        store=ChannelStore(folder / "channels.mdb"),
        bodies=Bodies(folder / "bodies", keys.record_key()),
        started_ms=NOW_MS,
    )
    try:
        yield World(hospital, _furnish(hospital))
    finally:
        hospital.bodies.close()
        hospital.store.close()


def _furnish(hospital: Hospital) -> Pair:
    pair = Pair()
    keeper = Keeper(pair.channels[0], {}, hospital.store, lambda _keeper, _submit: None)
    hospital.keepers[pair.channels[0].id] = keeper
    for side, name in enumerate(("General", "Mercy")):
        row = l1_state.Hospital(id=OPENING.hospitals[side], name=name, endpoint="127.0.0.1:1", keys=())
        hospital.registry[row.id] = row
    return pair


def fill(pair: Pair) -> None:
    """Ours: consent 0, grant 1, and later (behind a `seen`) a revoke. The peer's: `seen` 0, an access 1."""
    secret = pair.channels[0].me.secret
    given = ConsentTerms(
        subject=handle(secret, b"patient", PATIENT),
        permit=True,
        purposes=PURPOSES,
        classes=mask(RecordClass),
        label=3,
        from_ms=NOW_MS,
        until_ms=NOW_MS + HOUR_MS,
        document=digest(b"document"),
    )
    allowed = GrantTerms(
        content=digest(b"content"),
        cipher_root=digest(b"root"),
        cipher_size=1,
        key=digest(b"key"),
        media_type=1,
        record_class=RecordClass.BUNDLE,
        label=3,
        obligations=0,
        purposes=PURPOSES,
        from_ms=NOW_MS,
        until_ms=NOW_MS + HOUR_MS,
    )
    grant = Grant(time=NOW_MS, basis=0, consent=0, request=None, fee=0, lock=digest(b"lock"))
    pair.append(0, [Consent(time=NOW_MS), grant], [given, allowed])
    pair.settle()
    opened = AccessTerms(practitioner=handle(secret, b"practitioner", DOCTOR), role=0, purpose=0)
    pair.append(1, [Access(time=NOW_MS, grant=1)], [opened])
    pair.settle()
    pair.now_ms += HOUR_MS // 60
    pair.append(0, [Revoke(time=NOW_MS + 1, grant=1)])
    pair.settle()


__all__ = ["DOCTOR", "PATIENT", "TOKEN", "World", "fill", "open_world"]
