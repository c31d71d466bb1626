"""A running hospital: who it is, what it keeps, and the tasks that keep it going. It decides nothing itself.

Parts: the chain as verified by `reader`, one `Keeper` per channel, the record bodies, the desk. Each part is its own
module; this one joins them and answers questions that concern them all.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import structlog
import trio

from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.signing import Signer
from l1.reader.client import Reader
from l1.reader.light import Included
from l1.reader.transport import ChainUnreachable
from l1.rules import state as l1_state
from l1.rules.transactions import ROOT, Action
from l2.link import Line, Role
from l2.node.bodies import Bodies
from l2.node.folder import Config, Folder
from l2.node.keeper import Keeper
from l2.node.keys import KeyStore
from l2.node.parts import WHOLE, Part
from l2.node.siblings import Siblings
from l2.node.store import ChannelStore
from l2.protocol.phases import Phase

__all__ = ["Event", "Hospital"]

SIBLINGS_S = 2.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for whoever listens at the desk."""

    what: str
    channel: str
    detail: str


@dataclass(repr=False)
class Hospital:
    """See the module."""

    id: bytes
    name: str
    folder: Folder
    config: Config
    keys: KeyStore
    reader: Reader
    store: ChannelStore
    bodies: Bodies
    started_ms: int
    part: Part = WHOLE  # the channels that this process keeps
    siblings: Siblings = field(default_factory=Siblings)
    is_copy: bool = False  # the folder is a backup's: it may hold less than was said from the one that it copies
    started_height: int = 0
    waiting: LocalError | None = None  # why no channel is open yet; None once the chain has shown ours
    agreed: set[bytes] = field(default_factory=set)  # channels whose opening this very process has signed
    registry: dict[bytes, l1_state.Hospital] = field(default_factory=dict)
    keepers: dict[bytes, Keeper] = field(default_factory=dict)
    keeper_added: trio.Condition = field(default_factory=trio.Condition)
    listeners: list[Callable[[Event], None]] = field(default_factory=list)
    endpoint: str = ""
    url: str = ""
    failed: trio.Event = field(default_factory=trio.Event)
    failure: LocalError | None = None
    lines: set[Line] = field(default_factory=set)
    ended_line_bytes: int = 0
    dial: Callable[[bytes, Role, int], Awaitable[Line]] | None = None
    reading: trio.Lock = field(default_factory=trio.Lock)

    async def look_whether_still_a_copy(self) -> None:
        """[START-6] Once every channel has resumed, or signs nothing any more, the folder is as good as any. The mark
        goes when that is so of every worker's channels."""
        channels = [keeper.channel for keeper in self.keepers.values()]
        if not self.is_copy or not all(channel.resumed or channel.phase is not Phase.OPEN for channel in channels):
            return
        if self.part.is_first:
            if not await self._others_are_whole():
                return  # asked again at the next block
            self.folder.forget_copy()
        self.is_copy = False
        log.info("what the copy lacked has come back")

    async def _others_are_whole(self) -> bool:
        """Whoever does not answer at once is not known to be: the chain is not to be kept waiting for it."""
        with trio.move_on_after(SIBLINGS_S), suppress(LocalError):
            return b"yes" not in await self.siblings.ask_all("is a copy")
        return False

    async def _is_a_copy(self, _: bytes) -> bytes:
        return b"yes" if self.is_copy else b"no"

    def __post_init__(self) -> None:
        self.siblings.serve("is a copy", self._is_a_copy)

    async def learn(self, one: bytes) -> l1_state.Hospital | None:
        """A hospital's registry entry as of now, verified, for everything here; None: L1 does not know it.

        One reads at a time, so that what was read earlier never takes the place of what was read later.
        """
        async with self.reading:
            found = await self.reader.hospital(one)
            if found is not None:
                self.registry[one] = found
            return found

    async def connect_records(self, peer: bytes, slot: int) -> Line:
        """A line to a hospital that record bodies travel on, of channels of a slot. Raises `LineClosed`, `Refused`."""
        assert self.dial is not None
        return await self.dial(peer, Role.RECORDS, slot)

    @property
    def line_bytes(self) -> int:
        """Bytes of frames sent over all lines since the start, without TLS."""
        return self.ended_line_bytes + sum(line.bytes_out for line in self.lines)

    @contextmanager
    def counting(self, line: Line) -> Iterator[None]:
        """The line is in use meanwhile."""
        self.lines.add(line)
        try:
            yield
        finally:
            self.lines.discard(line)
            self.ended_line_bytes += line.bytes_out

    def keeper(self, channel: bytes) -> Keeper:
        """The keeper of a channel. Raises `Refused` (UNKNOWN_CHANNEL), `ChainUnreachable` before the chain was seen."""
        found = self.keepers.get(channel)
        if found is None:
            self._check_not_waiting()
        if found is None:
            raise Refused(Fault.UNKNOWN_CHANNEL, f"this hospital keeps no channel {channel[:4].hex()}…")
        return found

    def all_keepers(self) -> list[Keeper]:
        """Raises `ChainUnreachable` before the chain was seen: none would not mean that there are none."""
        self._check_not_waiting()
        return list(self.keepers.values())

    def _check_not_waiting(self) -> None:
        if self.waiting is not None:
            raise ChainUnreachable(self.waiting.cause, self.waiting.remedy)

    def peer_of(self, keeper: Keeper) -> bytes:
        return keeper.channel.row.opening.hospitals[1 - keeper.channel.side]

    def me(self) -> l1_state.Hospital:
        """Our own registry entry. Raises `LocalError` before we are admitted."""
        found = self.registry.get(self.id)
        if found is None:
            self._check_not_waiting()
        if found is None:
            raise LocalError(
                "the chain does not know this hospital yet",
                "Have a registrar run: interward chain hospital admit admission.json",
            )
        return found

    def holds(self, key: l1_state.Key) -> bool:
        """Whether the private half of a key of ours is here."""
        return self.keys.holds(key, self.folder.certificate(self.keys).fingerprint)

    def root(self) -> Signer:
        """The newest root key that may act now and is ours to use. Raises `LocalError` where there is none."""
        found = self.keys.signer(ROOT, self.me(), self.reader.tip.clock_ms)
        if found is None:
            remedy = "Bring a new root key with the recovery key: interward hospital keys recover"
            raise LocalError("no root key of this folder counts on L1", remedy)
        return found[1]

    async def ask_chain(self, action: Action, deadline_s: float = 30) -> Included:
        """Ask in a channel's affairs, and wait for the block. Raises as `Reader.send`.

        [FEE-7] Where the channel key's allowance is used up, the root key asks, if this node may use one: a thief of
        the channel key must not keep us from answering.
        """
        try:
            return await self.reader.send(self.acting_signer(), action, deadline_s)
        except Refused as refused:
            root = self.keys.signer(ROOT, self.me(), self.reader.tip.clock_ms)
            if refused.fault is not Fault.TOO_FEW_CREDITS or root is None:
                raise
            return await self.reader.send(root[1], action, deadline_s)

    def acting_signer(self) -> Signer:
        """What we ask the chain with in a channel's affairs: a channel key, expired or not; else the root key."""
        found = self.keys.closing_signer(self.me())
        return self.root() if found is None else found[1]

    def end(self, why: LocalError) -> None:
        """The process cannot go on. Whoever started it hears why."""
        self.failure = self.failure or why
        self.failed.set()

    def announce(self, what: str, channel: bytes, detail: str) -> None:
        if self.listeners:
            event = Event(what, channel.hex(), detail)
            for listener in list(self.listeners):
                listener(event)
