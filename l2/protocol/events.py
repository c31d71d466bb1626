"""What happens to a channel, and what it wants done. Requests in are verbs, news from outside ends in -Received, -Seen
or -ed; effects out are imperatives. The shell makes every `Persist` of a step durable before it carries out the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from l1.ground.faults import Fault
from l1.ground.signing import Signer
from l1.rules import state as l1_state
from l1.rules.commitment import Signed
from l1.rules.evidence import Charge, Evidence, Shown
from l1.rules.log.entries import Entry, Terms
from l1.rules.log.marks import Void
from l1.rules.transactions import Action

__all__ = [
    "Acknowledged",
    "Append",
    "Arrived",
    "Asked",
    "AskCheckpoint",
    "AskClose",
    "AskSecret",
    "BlockSeen",
    "ChainRefused",
    "Charged",
    "ClockSeen",
    "Connected",
    "Declined",
    "Disconnected",
    "Effect",
    "Event",
    "Froze",
    "KeyOver",
    "KeyReady",
    "MessageReceived",
    "PeerKeysSeen",
    "Persist",
    "Resumed",
    "RevealAsked",
    "Send",
    "Submit",
    "Tell",
    "Tick",
    "WordsSeen",
    "Written",
]


@dataclass(frozen=True, slots=True)
class Append:
    """Write these entries to our log; `terms` are those of the entries that have some, in order.

    `ticket` names the request in `Written`. A whole append may be spread over batches, but one of at most a few
    entries (a `pay` and its `receipt`) is never torn.
    """

    entries: Sequence[Entry]
    terms: Sequence[Terms]
    ticket: int


@dataclass(frozen=True, slots=True)
class Connected:
    pass


@dataclass(frozen=True, slots=True)
class Disconnected:
    pass


@dataclass(frozen=True, slots=True)
class MessageReceived:
    type: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class BlockSeen:
    """A new verified header, and the channel's row as of it (None: not looked up, nothing changed).

    `clock_is_off` says that our own clock is minutes away from the chain's.
    """

    height: int
    clock_ms: int
    row: l1_state.Channel | None
    clock_is_off: bool = False


@dataclass(frozen=True, slots=True)
class PeerKeysSeen:
    """The peer's channel keys whose words count in this channel, by number, from the verified registry."""

    keys: dict[int, bytes]


@dataclass(frozen=True, slots=True)
class KeyReady:
    """A newer channel key of ours stands in the registry under that number, since that height."""

    signer: Signer
    number: int
    height: int


@dataclass(frozen=True, slots=True)
class KeyOver:
    """Our newest channel key was revoked, or is not held here: neither it nor an older one signs."""

    number: int


@dataclass(frozen=True, slots=True)
class AskClose:
    """Close: together with the peer, or alone; `lost` when our own disk is in doubt."""

    alone: bool
    lost: bool


@dataclass(frozen=True, slots=True)
class AskCheckpoint:
    pass


@dataclass(frozen=True, slots=True)
class AskSecret:
    """Have the chain demand the secret that the peer keeps back: `receipt` is the index of ours for its grant."""

    receipt: int


@dataclass(frozen=True, slots=True)
class WordsSeen:
    """Somebody else (the chain, an auditor) showed a commitment of the peer, and perhaps an entry in its tree."""

    signed: Signed
    shown: Shown | None = None


@dataclass(frozen=True, slots=True)
class ChainRefused:
    """The chain refused what we asked: somebody else was first, or it was wrong."""

    action: str
    detail: str


@dataclass(frozen=True, slots=True)
class ClockSeen:
    """Our own clock went minutes away from the chain's, or came back: noticed between two blocks."""

    is_off: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Asked = AskClose | AskCheckpoint | AskSecret | WordsSeen
"""What somebody waits to have decided."""

Event = (
    Append
    | Connected
    | Disconnected
    | MessageReceived
    | BlockSeen
    | PeerKeysSeen
    | KeyReady
    | KeyOver
    | AskClose
    | AskCheckpoint
    | AskSecret
    | WordsSeen
    | ChainRefused
    | ClockSeen
    | Tick
)


@dataclass(frozen=True, slots=True)
class Persist:
    """Rows to write; all of a step's in one transaction, synced before anything else of the step is carried out."""

    rows: Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Send:
    type: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Submit:
    """Ask the chain. `why` is for people."""

    action: Action
    why: str


@dataclass(frozen=True, slots=True)
class Written:
    """Part of an append stands in the log, from index `first` on. `refused` are positions within the append."""

    ticket: int
    first: int
    count: int
    refused: Sequence[tuple[int, Void]]


@dataclass(frozen=True, slots=True)
class Declined:
    """The rest of an append will not be written: the channel takes no entries any more."""

    ticket: int
    cause: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The peer holds our log up to `size`, and signed so."""

    size: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """A batch of one log stands: the peer's, or (own) ours. `terms` are aligned with those entries that have some."""

    side: int
    first: int
    entries: Sequence[Entry]
    terms: Sequence[Terms]
    voids: Sequence[tuple[int, Void]]


@dataclass(frozen=True, slots=True)
class Froze:
    """The peer committed a fault; the evidence is kept."""

    fault: Fault
    detail: str


@dataclass(frozen=True, slots=True)
class Charged:
    """The peer misbehaved, and the case with this number, which is durable, proves it."""

    number: int
    charge: Charge
    evidence: Evidence
    detail: str


@dataclass(frozen=True, slots=True)
class RevealAsked:
    """The chain demands the secret of our grant: answer with `Reveal`. Asked again until it is there."""

    grant: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """We may sign again."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Something that an operator would want to know: a word and a sentence."""

    what: str
    detail: str


Effect = (
    Persist
    | Send
    | Submit
    | Written
    | Declined
    | Acknowledged
    | Arrived
    | Froze
    | Charged
    | RevealAsked
    | Resumed
    | Tell
)
