"""The words about records: what is taken in, found, shared and fetched."""

from typing import Literal

from l2.desk.word import Credits, Hex, Side, TimeMs, Word

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
    "FetchMany",
    "Fetched",
    "FetchedOne",
    "GrantView",
    "Granted",
    "GrantedMany",
    "PieceView",
    "Pieces",
    "RecordAdded",
    "RecordView",
    "Share",
    "ShareMany",
    "SharedOne",
    "TransferView",
]


class RecordAdded(Word, frozen=True):
    """`known` says that the hospital had this content already."""

    record: Hex
    media_type: str
    record_class: str
    subject: str
    label: str
    bytes: int
    known: bool


class AddedOne(Word, frozen=True):
    """What became of one of several contents: its record, or why there is none."""

    added: RecordAdded | None = None
    problem: str = ""


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
    """Several records on the same terms: all of them are granted, or none. With `each`, what can be granted of each is;
    a record of which a grant in force carries something in the channel is left out."""

    records: tuple[Hex, ...]
    share: Share
    each: bool = False


class SharedOne(Word, frozen=True):
    """What became of one of several records: its grants, or why there is none. `already`: a grant in force carries
    something of it."""

    record: Hex
    grants: tuple[int, ...] = ()
    resources: int = 0
    of_resources: int = 0
    problem: str | None = None
    already: bool = False


class GrantedMany(Word, frozen=True):
    """`shared` tells of each record, where that was asked for."""

    grants: tuple[int, ...]
    shared: tuple[SharedOne, ...] = ()


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
    coming: bool = False
    """It is on its way, and comes by itself: ask again to wait for it."""


class TransferView(Word, frozen=True):
    """A body on its way in. `bytes_per_s` is since it began, or went on."""

    channel: Hex
    grant: int
    bytes_done: int
    bytes_total: int
    bytes_per_s: int


class CopyView(Word, frozen=True):
    """A copy of an erased record at a peer. `state` is `confirmed` (then `receipt` is its signed word, in hex), `asked`
    (it has not answered), `refused` (`detail` says why), or `never fetched`."""

    channel: Hex
    grant: int
    peer: Hex
    state: str
    detail: str = ""
    had_copy: bool = False
    time_ms: TimeMs = 0
    receipt: Hex | None = None


class ErasureView(Word, frozen=True):
    """A record that was erased here, and what became of its copies."""

    record: Hex
    erased_ms: TimeMs
    copies: tuple[CopyView, ...]


class HoldWanted(Word, frozen=True):
    """`what` is `record` or `patient`, `name` the record's id or the hospital's own patient id."""

    what: Literal["record", "patient"]
    name: str
    reason: str = ""


class HoldView(Word, frozen=True):
    what: str
    name: str
    reason: str
    since_ms: TimeMs


class HoldEnded(Word, frozen=True):
    ended: bool


class LogTerm(Word, frozen=True):
    """Both logs of a channel, which are to be kept until then: six years (by config) after their newest entry."""

    channel: Hex
    entries: int
    keep_until_ms: TimeMs


class RetentionView(Word, frozen=True):
    records: int
    log_years: float
    logs: tuple[LogTerm, ...]
    holds: tuple[HoldView, ...]


class ClosedAccessView(Word, frozen=True):
    """A received record was opened after its channel had closed: a signed line of this hospital's own."""

    number: int
    record: Hex
    channel: Hex
    grant: int
    practitioner: str
    role: str
    purpose: str
    time_ms: TimeMs
