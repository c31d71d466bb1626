"""The shapes that a hospital and its own desk exchange as JSON: what is asked, and what is answered.

Bytes are lower-case hex, times are milliseconds since the epoch, amounts are credits, and code lists (purposes,
classes, labels, roles) go by their HL7 names. Knows nothing of HTTP. Source: docs/spec/desk.md.
"""

from typing import Any, Literal

from l2.desk.record_words import (
    AddedOne,
    ClosedAccessView,
    CopyView,
    ErasureView,
    Fetched,
    FetchedOne,
    FetchMany,
    Granted,
    GrantedMany,
    GrantView,
    HoldEnded,
    HoldView,
    HoldWanted,
    LogTerm,
    Pieces,
    PieceView,
    RecordAdded,
    RecordView,
    RetentionView,
    Share,
    SharedOne,
    ShareMany,
    TransferView,
)
from l2.desk.word import ChannelState, Credits, Hex, Side, TimeMs, Word

__all__ = [
    "AddedOne",
    "ClosedAccessView",
    "CopyView",
    "ErasureView",
    "HoldEnded",
    "HoldView",
    "HoldWanted",
    "LogTerm",
    "RetentionView",
    "Amount",
    "Backup",
    "BackupDone",
    "ChannelView",
    "Checkpointed",
    "CloseChannel",
    "Closed",
    "ConsentView",
    "ConsentWanted",
    "Entry",
    "Fetched",
    "Granted",
    "GrantView",
    "Credits",
    "Hex",
    "TimeMs",
    "Index",
    "Word",
    "WORKERS_MAX",
    "WorkerView",
    "Latency",
    "LogVerified",
    "OpenChannel",
    "PieceView",
    "Pieces",
    "Opened",
    "LogView",
    "Prove",
    "RecordAdded",
    "RecordView",
    "RecordWanted",
    "RefusedDraft",
    "RequestView",
    "Settled",
    "Share",
    "Status",
    "Story",
    "StoryNote",
    "Verify",
    "Written",
    "ChannelState",
    "Side",
    "FetchMany",
    "FetchedOne",
    "GrantedMany",
    "ShareMany",
    "SharedOne",
    "TransferView",
]

# The hospital


WORKERS_MAX = 16  # each costs 60 MiB and a store; 256 slots are then still spread within a sixteenth


class WorkerView(Word, frozen=True):
    """A process of a hub. `restarts`: how often it was started again since the hub began. `silent`: it runs, and does
    not answer."""

    number: int
    pid: int
    state: Literal["ready", "starting", "silent"]
    since_ms: TimeMs
    restarts: int


class Status(Word, frozen=True):
    hospital: Hex
    name: str
    chain: Hex
    height: int
    clock_ms: TimeMs
    endpoint: str
    url: str
    channels: int
    records: int
    started_ms: TimeMs
    warnings: tuple[str, ...] = ()
    """What somebody ought to do about the keys."""
    line_bytes: int = 0
    """Bytes of frames sent over secure lines since the process started, before TLS adds its own."""
    waiting: str | None = None  # why no channel is open: the chain has not answered since the process started
    resuming: tuple[str, ...] = ()
    """Open channels in which this process signs nothing before the peer has signed `resume`: a sentence each."""
    workers: tuple[WorkerView, ...] = ()
    """Of a hub, which answers for all that are ready."""


class Backup(Word, frozen=True):
    to: str


class BackupDone(Word, frozen=True):
    to: str
    bytes: int


# Channels


class OpenChannel(Word, frozen=True):
    """`peer` is a hospital's id in hex, or its name on L1."""

    peer: str
    deposit: Credits
    peer_deposit: Credits
    bond: Credits
    window_ms: TimeMs


class Opened(Word, frozen=True):
    channel: Hex


class LogView(Word, frozen=True):
    size: int
    root: Hex
    spent: Credits
    settled_size: int = 0


class ChannelView(Word, frozen=True):
    """A channel as this hospital sees it. `receipted` is how much of the own log the peer has acknowledged."""

    id: Hex
    peer: Hex
    peer_name: str
    side: int
    phase: str
    state: ChannelState
    own: LogView
    theirs: LogView
    receipted: int
    connected: bool
    deposits: tuple[Credits, Credits]
    bond: Credits
    voids: int = 0
    opened_at: int = 0
    closes_at_ms: TimeMs = 0
    reason: str | None = None


class StoryNote(Word, frozen=True):
    """What happened to a channel and why. `reason` is a name of `l2.protocol.journal.Reason`, in lower case."""

    number: int
    height: int
    clock_ms: TimeMs
    reason: str
    fault: str | None
    detail: str


class Story(Word, frozen=True):
    channel: ChannelView
    notes: list[StoryNote]


class Amount(Word, frozen=True):
    amount: Credits


class Checkpointed(Word, frozen=True):
    height: int
    own_size: int
    peer_size: int


class CloseChannel(Word, frozen=True):
    alone: bool = False
    lost: bool = False


class Closed(Word, frozen=True):
    how: Literal["together", "alone"]
    height: int


class Settled(Word, frozen=True):
    payout: Credits


# Entries


class RefusedDraft(Word, frozen=True):
    position: int
    reason: str


class Latency(Word, frozen=True):
    p50: float
    p99: float
    max: float


class Written(Word, frozen=True):
    """`first` and `last` are indices in the own log; `refused` shows the first twenty drafts that were not written.

    Drafts are written in order, but other entries may come between them: `runs` are (first index, count) of the
    stretches in which the written drafts stand.
    """

    first: int
    last: int
    written: int
    runs: tuple[tuple[int, int], ...] = ()
    refused: tuple[RefusedDraft, ...] = ()
    refused_count: int = 0
    latency_ms: Latency | None = None


Entry = dict[str, Any]
"""An entry, decoded: `index`, `side`, `kind`, `time_ms`, the kind's own fields by name, and `void` with a reason."""


class Index(Word, frozen=True):
    """The index of an entry that was written, in the own log."""

    index: int


# Consents and requests


class ConsentWanted(Word, frozen=True):
    channel: Hex
    patient: str
    decision: Literal["permit", "deny"]
    purposes: tuple[str, ...]
    classes: tuple[str, ...]
    label_ceiling: str
    from_ms: TimeMs
    until_ms: TimeMs
    document: Any = None
    """The FHIR Consent, as JSON."""


class ConsentView(Word, frozen=True):
    channel: Hex
    index: int
    patient: str
    decision: Literal["permit", "deny"]
    purposes: tuple[str, ...]
    classes: tuple[str, ...]
    label_ceiling: str
    from_ms: TimeMs
    until_ms: TimeMs
    withdrawn: bool


class RecordWanted(Word, frozen=True):
    """A request to the custodian. `from_ms` and `to_ms` bound the period of the data asked for."""

    channel: Hex
    patient: str
    purpose: str
    practitioner: str
    role: str
    classes: tuple[str, ...]
    from_ms: TimeMs
    to_ms: TimeMs
    emergency: bool = False
    justification: str = ""


class RequestView(Word, frozen=True):
    channel: Hex
    side: Side
    index: int
    purpose: str
    patient: str | None = None
    practitioner: str | None = None
    emergency: bool = False
    answered: str | None = None
    """`granted`, `denied` or None while it is open."""


# Audit


class Prove(Word, frozen=True):
    channel: Hex
    side: Side
    index: int


class Verify(Word, frozen=True):
    channel: Hex


class LogVerified(Word, frozen=True):
    """Own log, then the peer's: both read again from entry 0, hashed, and folded."""

    sizes: tuple[int, int]
    roots: tuple[Hex, Hex]
    ok: bool
