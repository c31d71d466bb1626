"""Two hospitals with real bodies on disk, their keepers joined by lines in memory; the chain is what a test says."""

import math
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import msgspec
import trio

from l1.ground.hashing import digest
from l2.desk import words
from l2.link import Line, LineClosed, Outbound, Role, slot_of
from l2.node.bodies import Bodies
from l2.node.clock import now_ms
from l2.node.exchange import Exchange
from l2.node.folder import Config
from l2.node.hospital import Hospital
from l2.node.keeper import Keeper
from l2.node.keys import KeyStore
from l2.protocol.channel import Me, load, new_rows
from tests.unit.l2.protocol.world import CHAIN, KEYS, OPENING, MemoryRows

YEAR_MS = 365 * 86_400_000
FAR_S = 10.0  # no wait of a test may take longer

Message = tuple[int, bytes]


class MemoryLine:
    """One end of a line."""

    def __init__(self, out: "trio.MemorySendChannel[Message]", into: "trio.MemoryReceiveChannel[Message]") -> None:
        self._out, self._into = out, into

    async def send_many(self, messages: Iterable[Outbound]) -> None:
        try:
            for kind, payload in messages:
                await self._out.send((kind, bytes(payload)))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise LineClosed("cut") from None

    async def receive(self) -> Message:
        try:
            return await self._into.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError, trio.BrokenResourceError):
            raise LineClosed("ended") from None

    async def receive_many(self) -> list[Message]:
        return [await self.receive()]

    async def aclose(self) -> None:
        self._out.close()
        self._into.close()
        await trio.lowlevel.checkpoint()


def line_pair() -> tuple[Line, Line]:
    there_in, there = trio.open_memory_channel[Message](math.inf)
    back_in, back = trio.open_memory_channel[Message](math.inf)
    return cast(Line, MemoryLine(there_in, back)), cast(Line, MemoryLine(back_in, there))


class MemoryCommitter:
    def __init__(self, rows: MemoryRows) -> None:
        self.rows = rows
        self._is_quick = False

    async def commit(self, channel: bytes, rows: Sequence[tuple[bytes, bytes]]) -> None:
        self.rows.put(rows)
        await trio.lowlevel.checkpoint()

    def commit_at_once(self, channel: bytes, rows: Sequence[tuple[bytes, bytes]]) -> bool:
        """Every other time, so that both ways are gone."""
        self._is_quick = not self._is_quick
        if self._is_quick:
            self.rows.put(rows)
        return self._is_quick


class Side:
    """One hospital of the pair. `restart` gives it a new process on the same disk."""

    def __init__(self, folder: Path, side: int, **config: bool) -> None:
        self.folder, self.side = folder, side
        self.rows = MemoryRows(new_rows(OPENING, side))
        self.config = msgspec.convert({"name": f"hospital {side}", "chain_url": "http://nowhere", **config}, Config)
        self.heard: list[tuple[str, str]] = []
        self.pulls = 0
        self.start(fresh=True)

    def start(self, *, fresh: bool) -> None:
        self.bodies = Bodies(self.folder, bytes([40 + self.side]) * 32)
        self.hospital = Hospital(
            id=OPENING.hospitals[self.side],
            name=self.config.name,
            folder=cast(Any, None),
            config=self.config,
            keys=KeyStore(bytes([50 + self.side]) * 32),
            reader=cast(Any, None),
            store=cast(Any, None),
            bodies=self.bodies,
            started_ms=0,
        )
        self.hospital.listeners.append(lambda event: self.heard.append((event.what, event.detail)))
        me = Me(signer=KEYS[self.side], key=1, secret=digest(b"secret"))
        channel = load(self.rows, me, CHAIN, fresh=fresh)
        channel.peer_keys = {1: KEYS[1 - self.side].public_key}
        own_keys = {1: KEYS[self.side].public_key}
        self.keeper = Keeper(channel, own_keys, MemoryCommitter(self.rows), lambda _keeper, _submit: None)
        self.hospital.keepers[channel.id] = self.keeper
        self.exchange = Exchange(self.hospital)
        self.id = channel.id.hex()


class World:
    """A is side 0 and custodian in most tests, B is side 1."""

    def __init__(self, a: Side, b: Side) -> None:
        self.a, self.b = a, b
        self.may_dial = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Both hospitals' tasks, and the line between them. Lines for records are made as they are dialled."""
        with trio.fail_after(FAR_S):
            async with trio.open_nursery() as nursery:
                for me, other in ((self.a, self.b), (self.b, self.a)):
                    self._prepare(me, other, nursery)
                    nursery.start_soon(me.keeper.run)
                    me.exchange.attach(me.keeper)
                    await nursery.start(me.exchange.run)
                for side, line in zip((self.a, self.b), line_pair(), strict=True):
                    nursery.start_soon(self._serve, side, line)
                yield
                nursery.cancel_scope.cancel()

    def _prepare(self, me: Side, other: Side, nursery: trio.Nursery) -> None:
        async def dial(peer: bytes, role: Role, slot: int) -> Line:
            assert (peer, slot) == (other.hospital.id, slot_of(me.keeper.channel.id))
            assert role is Role.RECORDS
            if not self.may_dial:
                raise LineClosed("nobody answers")
            await trio.lowlevel.checkpoint()
            mine, theirs = line_pair()
            me.pulls += 1
            nursery.start_soon(self._serve_pulls, other, me.hospital.id, theirs)
            return mine

        me.hospital.dial = dial

    @staticmethod
    async def _serve(side: Side, line: Line) -> None:
        try:
            await side.keeper.serve(line)
        except* LineClosed:
            pass

    @staticmethod
    async def _serve_pulls(side: Side, peer: bytes, line: Line) -> None:
        with suppress(LineClosed):
            await side.exchange.serve_pulls_for(peer, line)

    # -- what tests do again and again ------------------------------------------------------------------------------

    async def consent(self, patient: str = "anna", **changes: Any) -> int:
        wanted = words.ConsentWanted(
            channel=self.a.id,
            patient=patient,
            decision="permit",
            purposes=("TREAT", "HPAYMT"),
            classes=("OTHER", "PATIENT", "BUNDLE", "OBSERVATION"),
            label_ceiling="R",
            from_ms=0,
            until_ms=now_ms() + YEAR_MS,
            document={"resourceType": "Consent"},
        )
        return await self.a.exchange.grant_consent(msgspec.structs.replace(wanted, **changes))

    async def record(self, patient: str = "anna") -> str:
        return (await self.a.exchange.add_record(observation(patient), "a.json")).record

    async def share(self, record: str, **changes: Any) -> int:
        wanted = words.Share(channel=self.a.id, purposes=("TREAT",))
        return (await self.a.exchange.share(bytes.fromhex(record), msgspec.structs.replace(wanted, **changes))).grant

    async def request(self, patient: str = "anna", **changes: Any) -> int:
        wanted = words.RecordWanted(
            channel=self.b.id,
            patient=patient,
            purpose="TREAT",
            practitioner="dr-b",
            role="PHYSICIAN",
            classes=("OBSERVATION", "PATIENT"),
            from_ms=0,
            to_ms=now_ms(),
        )
        return await self.b.exchange.request(msgspec.structs.replace(wanted, **changes))

    async def b_knows_all(self) -> None:
        """Wait until each holds, and has acknowledged, what the other wrote."""
        for me, other in ((self.a, self.b), (self.b, self.a)):
            size = me.keeper.channel.own.size
            await other.keeper.wait_until(lambda channel, size=size: channel.peer.size >= size, FAR_S, "arrival")  # type: ignore[misc]

    async def open_at_b(self, record: str, purpose: str = "TREAT") -> bytes:
        _, pieces = await self.b.exchange.content(bytes.fromhex(record), "dr-b", "PHYSICIAN", purpose)
        return b"".join([piece async for piece in pieces])


def observation(patient: str) -> bytes:
    resource = {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"text": "pulse"},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": "2020-01-01",
    }
    return msgspec.json.encode(resource)
