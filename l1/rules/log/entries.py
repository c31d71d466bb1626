"""The entries of a log: one record-access update each, in a public and a private part.

L1 may be shown the public part (kind, references, time, fee, heads); the private part (who, what for, which period)
stays between the hospitals, bound by a salted digest in the leaf, and is shown only where it is the charge. An entry
refers to another by its index; whose log is meant follows from the kind. Source: design §5; docs/spec/entries.md.
"""

from typing import Annotated, Any

from msgspec import Meta

from l1.ground.codec import Shape
from l1.ground.fields import Credits, Digest, Handle, Size, TimeMs

__all__ = [
    "TERMS_OF",
    "Access",
    "AccessTerms",
    "Basis",
    "Consent",
    "ConsentTerms",
    "Deny",
    "DenyTerms",
    "Entry",
    "Grant",
    "GrantTerms",
    "Kind",
    "Pay",
    "Receipt",
    "Release",
    "Request",
    "RequestTerms",
    "Review",
    "ReviewTerms",
    "Revoke",
    "Seen",
    "Terms",
    "Withdraw",
    "tag_of",
]

Kind = Annotated[int, Meta(ge=0, le=15)]
Index = Size
Code = Annotated[int, Meta(ge=0, le=31)]
Codes = Annotated[int, Meta(ge=0, le=2**32 - 1)]
"""A set of codes as bits: see `l1.ground.codes.mask`."""

CONSENT_BASIS, REQUEST_BASIS, EMERGENCY_BASIS = 0, 1, 2
Basis = Annotated[int, Meta(ge=0, le=2)]
"""What a grant stands on: a consent of the custodian's log, a request of the recipient's, or an emergency request."""


class Seen(Shape, frozen=True, tag=0, gc=False):
    """The peer's head that I have verified. A batch opens with it where it grew."""

    time: TimeMs
    size: Size
    root: Digest


class Consent(Shape, frozen=True, tag=1, gc=False):
    """Custodian: a consent directive is in force."""

    time: TimeMs


class Withdraw(Shape, frozen=True, tag=2, gc=False):
    """Custodian: that consent ends, from now on."""

    time: TimeMs
    consent: Index


class Request(Shape, frozen=True, tag=3, gc=False):
    """Recipient: asks for records of a subject; `emergency` is break-glass."""

    time: TimeMs
    emergency: bool


class Grant(Shape, frozen=True, tag=4, gc=False):
    """Custodian: the recipient may open a record. `consent` is in the custodian's log, `request` in the recipient's.

    `lock` is the SHA-256 of the secret that `release` will show.
    """

    time: TimeMs
    basis: Basis
    consent: Index | None
    request: Index | None
    fee: Credits
    lock: Digest


class Deny(Shape, frozen=True, tag=5, gc=False):
    """Custodian: a request is refused."""

    time: TimeMs
    request: Index


class Revoke(Shape, frozen=True, tag=6, gc=False):
    """Custodian: a grant ends."""

    time: TimeMs
    grant: Index


class Receipt(Shape, frozen=True, tag=7, gc=False):
    """Recipient: the ciphertext of that grant arrived and was verified."""

    time: TimeMs
    grant: Index


class Release(Shape, frozen=True, tag=8, gc=False):
    """Custodian: the secret that opens the grant's lock."""

    time: TimeMs
    grant: Index
    secret: Digest


class Access(Shape, frozen=True, tag=9, gc=False):
    """Recipient: a practitioner opened a granted record."""

    time: TimeMs
    grant: Index


class Pay(Shape, frozen=True, tag=10, gc=False):
    """Recipient: the fee of a grant. It stands right before the receipt that it pays for."""

    time: TimeMs
    amount: Credits
    grant: Index


class Review(Shape, frozen=True, tag=11, gc=False):
    """Custodian: the outcome of a break-glass review."""

    time: TimeMs
    request: Index


Entry = Seen | Consent | Withdraw | Request | Grant | Deny | Revoke | Receipt | Release | Access | Pay | Review


class ConsentTerms(Shape, frozen=True, tag=1, gc=False):
    """What was consented: for whom, permit or deny, what for, which classes, up to which label, when.

    `document` is the salted digest of the FHIR Consent that stands behind it.
    """

    subject: Handle
    permit: bool
    purposes: Codes
    classes: Codes
    label: Code
    from_ms: TimeMs
    until_ms: TimeMs
    document: Digest


class RequestTerms(Shape, frozen=True, tag=3, gc=False):
    """Who asks for what, and why. `justification` is a digest, empty unless it is an emergency."""

    subject: Handle
    purpose: Code
    practitioner: Handle
    role: Code
    classes: Codes
    data_from_ms: TimeMs
    data_until_ms: TimeMs
    justification: Annotated[bytes, Meta(max_length=32)]


class GrantTerms(Shape, frozen=True, tag=4, gc=False):
    """Which record, and what it may be opened for. `content` is SHA-256(salt ‖ SHA-256(content)), `key` names the one
    key."""

    content: Digest
    cipher_root: Digest
    cipher_size: Size
    key: Digest
    media_type: Code
    record_class: Code
    label: Code
    obligations: Codes
    purposes: Codes
    from_ms: TimeMs
    until_ms: TimeMs


class DenyTerms(Shape, frozen=True, tag=5, gc=False):
    reason: Code


class AccessTerms(Shape, frozen=True, tag=9, gc=False):
    """Which practitioner opened it, in which role, for which purpose."""

    practitioner: Handle
    role: Code
    purpose: Code


class ReviewTerms(Shape, frozen=True, tag=11, gc=False):
    reviewer: Handle
    justified: bool


Terms = ConsentTerms | RequestTerms | GrantTerms | DenyTerms | AccessTerms | ReviewTerms

TERMS_OF: dict[type, type] = {
    Consent: ConsentTerms,
    Request: RequestTerms,
    Grant: GrantTerms,
    Deny: DenyTerms,
    Access: AccessTerms,
    Review: ReviewTerms,
}
"""Which kinds have a private part. The others have none, and their leaf is the public part alone."""


def tag_of(kind: type[Any]) -> int:
    """The number of a kind, as it stands on the wire."""
    return int(kind.__struct_config__.tag)
