"""One channel as the exchange sees it: its keeper, the handles under its secret, and what is under way in it.

Holds state and writes single entries; decides nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from l1.ground.faults import LocalError, Refused
from l1.rules.log.entries import Entry, Terms
from l1.rules.log.fold import Void
from l1.rules.log.leaves import decode_parts, encode_parts
from l2.node.bodies import Record
from l2.node.exchange.book import PATIENT, PRACTITIONER
from l2.node.exchange.logs import ConsentIndex
from l2.node.exchange.worklist import Worklist
from l2.node.keeper import Keeper
from l2.node.outcomes import Outcome
from l2.protocol.channel import Channel
from l2.records import handle

__all__ = ["Awaited", "Dealing", "Handles", "why_void"]

HANDLES_MAX = 50_000  # names kept per channel and kind: about 10 MB
WRITE_S = 60.0  # a channel that may not sign for so long is reported, not waited for


def why_void(reason: Void) -> str:
    return reason.name.lower().replace("_", " ")


class Handles(dict[str, bytes]):
    """Names to handles of one kind, made when first asked for. `fresh` are those that nobody has written down yet."""

    def __init__(self, secret: bytes, kind: bytes) -> None:
        super().__init__()
        self._secret, self._kind = secret, kind
        self.fresh: list[tuple[bytes, bytes, str]] = []

    def __missing__(self, name: str) -> bytes:
        if len(self) >= HANDLES_MAX:
            self.clear()
        made = self[name] = handle(self._secret, self._kind, name)
        self.fresh.append((made, self._kind, name))
        return made


@dataclass(slots=True)
class Awaited:
    """A record that is on its way. `secret` is what its release has shown; `became` is set when it has come."""

    is_short: bool
    came: trio.Event = field(default_factory=trio.Event)
    secret: bytes | None = None
    became: Record | Exception | None = None


class Dealing:
    """See the module."""

    def __init__(self, keeper: Keeper, chain: bytes, peer: bytes) -> None:
        self.keeper, self.chain, self.peer = keeper, chain, peer
        secret = keeper.channel.me.secret
        self.patients = Handles(secret, PATIENT)
        self.practitioners = Handles(secret, PRACTITIONER)
        self.consents = ConsentIndex(keeper.channel)
        self.unreleased: dict[int, bytes] = {}  # our grants with a body whose release is not out → lock
        self.receipted: set[int] = set()  # those of them that the peer has confirmed
        self.orphans: dict[bytes, bytes] = {}  # locks of bodies that no grant is known for → record
        self.awaited: dict[int, Awaited] = {}  # the peer's grants whose release we wait for
        self.chores: Worklist[tuple[str, int]] = Worklist()

    @property
    def channel(self) -> Channel:
        return self.keeper.channel

    @property
    def id(self) -> bytes:
        return self.keeper.channel.id

    @property
    def own(self) -> int:
        return self.keeper.channel.side

    @property
    def theirs(self) -> int:
        return 1 - self.keeper.channel.side

    def take_fresh(self) -> list[tuple[bytes, bytes, str]]:
        """Handles made since the last call, to be written down."""
        fresh = self.patients.fresh + self.practitioners.fresh
        self.patients.fresh, self.practitioners.fresh = [], []
        return fresh

    @staticmethod
    def _check(entries: Sequence[Entry], terms: Sequence[Terms]) -> None:
        """What our desk asked for must fit the schema: the peer would take it for a fault of ours."""
        try:
            decode_parts(*encode_parts(entries, terms))
        except (Refused, OverflowError) as error:
            raise LocalError(f"a number or a text is out of bounds ({error})", "Nothing was written.") from None

    async def write(self, entries: Sequence[Entry], terms: Sequence[Terms] = ()) -> Outcome:
        """Append and wait until it is durable. Raises `LocalError` where the channel takes none."""
        self._check(entries, terms)
        outcome: Outcome | None = None
        with trio.move_on_after(WRITE_S):
            outcome = await self.keeper.append_durable(entries, terms)
        if outcome is None:
            cause = f"the channel {self.keeper.name}… could not sign for {WRITE_S:g} s"
            raise LocalError(cause, "See `interward channel show`; what was asked is written once it can.")
        return outcome

    async def write_one(self, entry: Entry, terms: Terms | None, what: str) -> int:
        """Append one entry; its index. Raises `LocalError` when our own fold would call it void."""
        outcome = await self.write([entry], [] if terms is None else [terms])
        if outcome.refused:
            raise LocalError(f"{what} would be void: {why_void(outcome.refused[0][1])}", "Nothing was written.")
        return outcome.last
