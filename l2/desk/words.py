"""The shapes that a hospital and its own desk exchange as JSON: what is asked, and what is answered.

Bytes are lower-case hex, times are milliseconds since the epoch, amounts are credits, and code lists (purposes,
classes, labels, roles) go by their HL7 names. Knows nothing of HTTP. Source: docs/spec/desk.md.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

__all__ = [
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
    "Hex",
    "Index",
    "Word",
    "KeyView",
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
]

Hex = Annotated[str, Meta(pattern=r"^([0-9a-f]{2})*$")]
Credits = Annotated[int, Meta(ge=0)]
TimeMs = Annotated[int, Meta(ge=0)]
Side = Literal["own", "peer"]
ChannelState = Literal["connecting", "resuming", "open", "closing", "settled", "frozen"]


class Word(Struct, frozen=True, kw_only=True):
    """A JSON object. Unknown fields are ignored, so that an older desk understands a newer hospital."""


# The hospital


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
    line_bytes: int = 0
    """Bytes of frames sent over secure lines since the process started, before TLS adds its own."""


class KeyView(Word, frozen=True):
    number: int
    kind: str
    key: Hex
    valid_from_ms: TimeMs
    valid_until_ms: TimeMs
    revoked: bool


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


# Records


class RecordAdded(Word, frozen=True):
    """`known` says that the hospital had this content already."""

    record: Hex
    media_type: str
    record_class: str
    subject: str
    label: str
    bytes: int
    known: bool


class RecordView(Word, frozen=True):
    """`origin` is `own`, or the id of the hospital that granted it (then `channel` and `grant` say where)."""

    record: Hex
    media_type: str
    record_class: str
    subject: str
    label: str
    bytes: int
    origin: str
    name: str = ""
    channel: Hex | None = None
    grant: int | None = None
    digest: Hex = ""
    """SHA-256 of the content."""
    title: str = ""
    classes: tuple[str, ...] = ()
    sensitivity: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    """The first of the patients that it is about, by the holder's own ids; `subject` is the only one."""
    names: tuple[str, ...] = ()
    from_ms: TimeMs | None = None
    until_ms: TimeMs | None = None
    """The end of the year 9999 for what goes on."""
    resources: int = 1
    added_ms: TimeMs = 0
    root: Hex = ""
    """Of an extract: the root of the record that it was cut from."""
    unproven: str = ""
    """Of an extract: what is wrong with its proofs."""


class PieceView(Word, frozen=True):
    """A resource of a record. `digest` is the SHA-256 of its bytes."""

    number: int
    kind: str
    id: str
    classes: tuple[str, ...]
    label: str
    sensitivity: tuple[str, ...]
    subjects: tuple[str, ...]
    from_ms: TimeMs | None
    until_ms: TimeMs | None
    bytes: int
    digest: Hex


class Pieces(Word, frozen=True):
    """`root` is what every extract of the record leads to; empty for a record without resources."""

    record: Hex
    root: Hex
    pieces: tuple[PieceView, ...]


class Share(Word, frozen=True):
    """With `patient`, `classes`, `data_*_ms` or `label`, or in answer to a request, only the resources that fit are
    shared: about that patient, of those classes, touching that period, up to that label."""

    channel: Hex
    purposes: tuple[str, ...]
    until_ms: TimeMs | None = None
    consent_index: int | None = None
    request_index: int | None = None
    fee: Credits = 0
    patient: str = ""
    classes: tuple[str, ...] = ()
    data_from_ms: TimeMs | None = None
    data_until_ms: TimeMs | None = None
    label: str = ""


class Granted(Word, frozen=True):
    """`grants` are several where parts of the record stand on different consents; `resources` went of `of_resources`
    in the record."""

    grant: int
    grants: tuple[int, ...] = ()
    resources: int = 1
    of_resources: int = 1


class GrantView(Word, frozen=True):
    """A grant in either log. `state` is `granted`, `fetching`, `received`, `released`, `revoked` or `void`."""

    channel: Hex
    side: Side
    index: int
    state: str
    purposes: tuple[str, ...]
    record_class: str
    label: str
    media_type: str
    from_ms: TimeMs
    until_ms: TimeMs
    fee: Credits = 0
    bytes: int = 0
    record: Hex | None = None
    """The record in this hospital's store: the one that was shared, or the one that arrived."""


class ShareMany(Word, frozen=True):
    """Several records on the same terms: all of them are granted, or none."""

    records: tuple[Hex, ...]
    share: Share


class GrantedMany(Word, frozen=True):
    grants: tuple[int, ...]


class Fetched(Word, frozen=True):
    """`digest_ok`: the content is what was granted, and where it is an extract (`root`), each of its resources leads to
    the root; else `unproven` says why not."""

    record: Hex
    bytes: int
    digest_ok: bool
    resources: int = 1
    root: Hex = ""
    unproven: str = ""


class FetchMany(Word, frozen=True):
    grants: tuple[int, ...]


class FetchedOne(Word, frozen=True):
    """What became of one grant: its record, or why there is none."""

    grant: int
    record: Hex | None = None
    bytes: int = 0
    problem: str | None = None


class TransferView(Word, frozen=True):
    """A body on its way in. `bytes_per_s` is since it began, or went on."""

    channel: Hex
    grant: int
    bytes_done: int
    bytes_total: int
    bytes_per_s: int


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
