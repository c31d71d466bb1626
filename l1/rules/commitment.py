"""What a side of a channel signs, and what it proves: commitments, resumes, closings, openings.

These are L1's words, since a dispute is nothing but L1 reading them. Everything here is a value; opening a signed one
returns the content or raises. Source: docs/spec/commitments.md.
"""

from typing import Annotated

from msgspec import Meta

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, require
from l1.ground.fields import (
    AccountId,
    ChannelId,
    Credits,
    Digest,
    Height,
    SignatureBytes,
    Size,
    TimeMs,
)
from l1.ground.hashing import digest, tagged_digest
from l1.ground.limits import VERSION
from l1.ground.merkle import EMPTY_ROOT
from l1.ground.signing import Context, Purpose, Signer, open_signed, sign

__all__ = [
    "EMPTY_HEAD",
    "Closing",
    "Commitment",
    "Head",
    "KeyNumber",
    "Opening",
    "Resume",
    "Side",
    "Signed",
    "channel_id",
    "closing_of",
    "decode_commitment",
    "decode_resume",
    "open_closing",
    "open_commitment",
    "open_resume",
    "other",
    "sign_shape",
]

Side = Annotated[int, Meta(ge=0, le=1)]
"""0 is the hospital that opened the channel, 1 the one that agreed."""

KeyNumber = Annotated[int, Meta(ge=0, le=65_535)]
"""A hospital's keys are numbered on L1 in the order of their registration; a number is never used again."""


def other(side: int) -> int:
    return 1 - side


class Head(Shape, frozen=True):
    """The tree head of a log: how many entries, and the RFC 9162 root over them."""

    size: Size
    root: Digest


EMPTY_HEAD = Head(size=0, root=EMPTY_ROOT)


class Commitment(Shape, frozen=True):
    """A hospital's statement about its own log in one channel, and its receipt for the peer's.

    `spent` is the total of access fees paid to the peer, `seen_*` the peer's head that the signer verified, `height`
    the newest L1 height it verified. None of the three, nor `size`, ever falls.
    """

    version: int
    chain: Digest
    channel: ChannelId
    side: Side
    size: Size
    root: Digest
    spent: Credits
    seen_size: Size
    seen_root: Digest
    height: Height

    @property
    def head(self) -> Head:
        return Head(size=self.size, root=self.root)

    @property
    def seen(self) -> Head:
        return Head(size=self.seen_size, root=self.seen_root)


class Resume(Shape, frozen=True):
    """What a side tells a peer whose process has started: the peer's newest head that it holds.

    `side` is the side that resumes; the *other* side signs. After it, commitments of `side` with a lower height and a
    size beyond `size` are void against their signer.
    """

    version: int
    chain: Digest
    channel: ChannelId
    side: Side
    height: Height
    size: Size
    root: Digest


class Closing(Shape, frozen=True):
    """Both sides agree that these two commitments (by digest) are the last ones."""

    version: int
    chain: Digest
    channel: ChannelId
    finals: tuple[Digest, Digest]


class Opening(Shape, frozen=True):
    """The terms of a channel. Side 0 is `hospitals[0]`, who proposed it.

    The bond is the same for both. `window_ms` runs on the chain clock. `answer_ms` is the agreed deadline for an
    acknowledgement. The nonce is random and never used again: it makes the channel's id.
    """

    version: int
    chain: Digest
    hospitals: tuple[AccountId, AccountId]
    nonce: Digest
    deposits: tuple[Credits, Credits]
    bond: Credits
    window_ms: TimeMs
    answer_ms: TimeMs
    expires: Height


class Signed(Shape, frozen=True):
    """A shape's canonical bytes, the number of the signing hospital's key, and the signature."""

    body: bytes
    key: KeyNumber
    signature: SignatureBytes


decode_commitment = decoder(Commitment, bytes_max=512, what="commitment")
decode_resume = decoder(Resume, bytes_max=512, what="resume")


def sign_shape(signer: Signer, number: int, purpose: Purpose, context: Context, shape: Shape) -> Signed:
    body = encode(shape)
    return Signed(body=body, key=number, signature=sign(signer, purpose, context, body))


def _check_place(context: Context, version: int, chain: bytes, channel: bytes) -> None:
    require(version == VERSION, Fault.WRONG_VERSION, f"version {version}; this program speaks {VERSION}")
    require(chain == context.chain, Fault.WRONG_CHAIN, "the words are meant for another chain")
    require(channel == context.channel, Fault.WRONG_CHANNEL, "the words are meant for another channel")


def open_commitment(signed: Signed, context: Context, key: bytes) -> Commitment:
    """The commitment, known to be the key's own. The caller looks the key up by `signed.key` and checks the side."""
    body = open_signed(key, Purpose.COMMITMENT, context, signed.body, signed.signature)
    commitment: Commitment = decode_commitment(body)
    _check_place(context, commitment.version, commitment.chain, commitment.channel)
    return commitment


def open_resume(signed: Signed, context: Context, key: bytes) -> Resume:
    body = open_signed(key, Purpose.RESUME, context, signed.body, signed.signature)
    resume: Resume = decode_resume(body)
    _check_place(context, resume.version, resume.chain, resume.channel)
    return resume


def open_closing(signed: Signed, context: Context, key: bytes, finals: tuple[Signed, Signed]) -> None:
    """Raise unless the key agreed to close on exactly these two signed commitments."""
    body = open_signed(key, Purpose.CLOSING, context, signed.body, signed.signature)
    require(body == encode(closing_of(context, finals)), Fault.BAD_SIGNATURE, "the closing names other commitments")


def closing_of(context: Context, finals: tuple[Signed, Signed]) -> Closing:
    return Closing(
        version=VERSION,
        chain=context.chain,
        channel=context.channel,
        finals=(digest(finals[0].body), digest(finals[1].body)),
    )


def channel_id(opening: Opening) -> bytes:
    """The channel's id: hash of chain, both hospitals and the opening nonce."""
    return tagged_digest(b"channel", opening.chain, *opening.hospitals, opening.nonce)
