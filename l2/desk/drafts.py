"""Drafts: entries as a desk writes them down, before the hospital gives them time, handles, salts and an index.

A draft is a canonical msgpack array that begins with the entry's kind; a POST to `/v1/channels/{id}/entries` carries
one array of them, and so does each message of an append stream. Patients and practitioners are named as the hospital
itself names them: the pairwise handles are made inside. Source: docs/spec/desk.md.
"""

from typing import Annotated, Literal

from msgspec import Meta

from l1.ground.codec import Shape, decoder, encode
from l1.ground.fields import Credits, Digest, Size, TimeMs

__all__ = [
    "DRAFTS_BYTES_MAX",
    "DRAFTS_MAX",
    "UNDER_WAY_MAX",
    "AccessDraft",
    "ConsentDraft",
    "Draft",
    "GrantDraft",
    "ReceiptDraft",
    "RequestDraft",
    "RevokeDraft",
    "Wait",
    "WithdrawDraft",
    "decode_drafts",
    "encode_drafts",
]

DRAFTS_MAX = 20_000  # five full batches: enough to keep the pipeline full, little enough to answer soon
DRAFTS_BYTES_MAX = 4 * 1024 * 1024
UNDER_WAY_MAX = 64  # messages of one append stream: a third of a second at 200 a second

Wait = Literal["receipt", "durable"]
"""What an append is answered after: that the peer has acknowledged, or that our disk has taken it."""

Who = Annotated[str, Meta(min_length=1, max_length=128)]
"""A patient or practitioner in the hospital's own words."""

Code = Annotated[int, Meta(ge=0, le=31)]  # as wide as an entry carries
Mask = Annotated[int, Meta(ge=0, lt=2**32)]


class ConsentDraft(Shape, frozen=True, tag=1, gc=False):
    patient: Who
    permit: bool
    purposes: Mask
    classes: Mask
    label_ceiling: Code
    from_ms: TimeMs
    until_ms: TimeMs
    digest: Digest


class WithdrawDraft(Shape, frozen=True, tag=2, gc=False):
    consent: Size


class RequestDraft(Shape, frozen=True, tag=3, gc=False):
    patient: Who
    purpose: Code
    practitioner: Who
    role: Code
    classes: Mask
    data_from_ms: TimeMs
    data_to_ms: TimeMs
    emergency: bool
    justification: Annotated[str, Meta(max_length=1000)]


class GrantDraft(Shape, frozen=True, tag=4, gc=False):
    """A grant with no body behind it. Only a hospital whose config says `bench = true` writes one."""

    consent: Size | None
    request: Size | None
    fee: Credits
    purposes: Mask
    from_ms: TimeMs
    until_ms: TimeMs
    record_class: Code
    label: Code
    media_type: Code


class RevokeDraft(Shape, frozen=True, tag=6, gc=False):
    grant: Size


class ReceiptDraft(Shape, frozen=True, tag=7, gc=False):
    """Only a hospital whose config says `bench = true` takes one from its desk."""

    grant: Size


class AccessDraft(Shape, frozen=True, tag=9, gc=False):
    grant: Size
    practitioner: Who
    role: Code
    purpose: Code


Draft = ConsentDraft | WithdrawDraft | RequestDraft | GrantDraft | RevokeDraft | ReceiptDraft | AccessDraft

decode_drafts = decoder(tuple[Draft, ...], bytes_max=DRAFTS_BYTES_MAX, what="drafts")
"""The drafts of a request body. The server checks their number against `DRAFTS_MAX`."""


def encode_drafts(drafts: tuple[Draft, ...] | list[Draft]) -> bytes:
    return encode(drafts)
