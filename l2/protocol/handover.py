"""What a hospital hands to a watchtower: the newest commitment of the peer in each of its channels, and nothing else.

No key, no entry, no secret: whoever reads it learns sizes, roots and totals. The hospital signs the whole, so that a
tower knows for whom it watches; each commitment is the peer's own words and needs nobody's. Source: docs/spec/tower.md.
"""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, require
from l1.ground.fields import AccountId, ChannelId, Digest, Height, Size
from l1.ground.limits import VERSION
from l1.ground.signing import Context, Purpose, Signer, open_signed
from l1.rules.commitment import Commitment, KeyNumber, Signed, decode_commitment, sign_shape
from l2.protocol.limits import HANDED_MAX, HANDOVER_BYTES_MAX

__all__ = [
    "NOTHING",
    "Age",
    "Handed",
    "Handover",
    "age_of",
    "age_of_signed",
    "open_handover",
    "peek_handover",
    "sign_handover",
]

Age = tuple[Height, Size, KeyNumber]
"""[HAND-4] What makes words newer than others of the same side."""
NOTHING: Age = (0, 0, 0)


class Handed(Shape, frozen=True):
    """The peer's newest commitment in a channel."""

    channel: ChannelId
    commitment: Signed


class Handover(Shape, frozen=True):
    """What one hospital hands to one tower, at once."""

    version: int
    chain: Digest
    hospital: AccountId
    tower: AccountId
    handed: Annotated[tuple[Handed, ...], Meta(min_length=1, max_length=HANDED_MAX)]


_decode_signed = decoder(Signed, bytes_max=HANDOVER_BYTES_MAX, what="handover")
_decode_body = decoder(Handover, bytes_max=HANDOVER_BYTES_MAX, what="handover")


def age_of(said: Commitment, key: int) -> Age:
    """Their height, then their size, then the number of the key that signed them.

    Heights never fall along a log, so greater sizes are newer; but for words that a `resume` made void: what was signed
    after it stands at a greater height, with the same size or a smaller one.
    """
    return said.height, said.size, key


def age_of_signed(signed: Signed) -> Age:
    return age_of(decode_commitment(signed.body), signed.key)


def sign_handover(
    signer: Signer, number: int, *, chain: bytes, hospital: bytes, tower: bytes, handed: Sequence[Handed]
) -> bytes:
    """The canonical signed bytes. `number` is that of the signing channel key on L1."""
    words = Handover(version=VERSION, chain=chain, hospital=hospital, tower=tower, handed=tuple(handed))
    return encode(sign_shape(signer, number, Purpose.HANDOVER, Context(chain=chain), words))


def peek_handover(data: bytes) -> tuple[Signed, Handover]:
    """[HAND-1] The words, not yet known to be anybody's: they name the hospital whose key opens them."""
    signed: Signed = _decode_signed(data)
    return signed, _decode_body(signed.body)


def open_handover(signed: Signed, handover: Handover, *, chain: bytes, tower: bytes, key: bytes) -> None:
    """[HAND-1] Raise `Refused` unless the words are the key's own, for this tower and chain."""
    require(handover.version == VERSION, Fault.WRONG_VERSION, f"a handover of version {handover.version}")
    require(handover.chain == chain, Fault.WRONG_CHAIN, "the handover is meant for another chain")
    require(handover.tower == tower, Fault.NOT_AUTHORISED, "the handover is meant for another tower")
    open_signed(key, Purpose.HANDOVER, Context(chain=chain), signed.body, signed.signature)
