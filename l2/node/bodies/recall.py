"""Asking a peer to erase what it received under a grant, and its signed word that it has.

Both ends of two messages, and the receipt: a value that anybody who knows the peer's key can check.
docs/spec/records.md, rules ERASE-*.
"""

from collections.abc import Iterable
from typing import Annotated, Protocol

from msgspec import Meta

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, require
from l1.ground.fields import AccountId, ChannelId, SignatureBytes, Size, TimeMs
from l1.ground.signing import Context, Purpose, Signer, open_signed, sign
from l2.link import Outbound
from l2.node.bodies.wire import DENIED, ERASE, ERASED, denial_of

__all__ = ["Erased", "ErasureReceipt", "ask_erasure", "check_erasure", "decode_erase", "decode_erased", "sign_erasure"]


class _Line(Protocol):
    async def send_many(self, messages: Iterable[Outbound]) -> None: ...

    async def receive(self) -> tuple[int, bytes]: ...


class Erase(Shape, frozen=True):
    """Custodian: erase what you received under that grant of mine."""

    channel: ChannelId
    grant: Size


class ErasureReceipt(Shape, frozen=True):
    """[ERASE-3] Recipient: nothing of it is left here. `had_copy` is False where nothing had been stored."""

    channel: ChannelId
    grant: Size
    custodian: AccountId
    recipient: AccountId
    had_copy: bool
    time: TimeMs


class Erased(Shape, frozen=True):
    """A receipt as it is signed: `receipt` are its canonical bytes, `key` the number of the signer's channel key."""

    receipt: Annotated[bytes, Meta(max_length=1_024)]
    key: Size
    signature: SignatureBytes


decode_erase = decoder(Erase, bytes_max=1_024, what="request to erase")
decode_receipt = decoder(ErasureReceipt, bytes_max=1_024, what="erasure receipt")
decode_erased = decoder(Erased, bytes_max=4_096, what="signed erasure receipt")


def sign_erasure(receipt: ErasureReceipt, chain: bytes, signer: Signer, key: int) -> Erased:
    """The recipient's word."""
    body = encode(receipt)
    return Erased(body, key, sign(signer, Purpose.ERASURE, Context(chain, receipt.channel), body))


def check_erasure(
    erased: Erased, *, chain: bytes, channel: bytes, grant: int, custodian: bytes, recipient: bytes, key: bytes
) -> ErasureReceipt:
    """The receipt, known to be that recipient's about that grant. Raises `Refused` (BAD_SIGNATURE, MALFORMED,
    UNEXPECTED)."""
    receipt = decode_receipt(
        open_signed(key, Purpose.ERASURE, Context(chain, channel), erased.receipt, erased.signature)
    )
    about = (receipt.channel, receipt.grant, receipt.custodian, receipt.recipient)
    require(about == (channel, grant, custodian, recipient), Fault.UNEXPECTED, "a receipt about something else")
    return receipt


async def ask_erasure(line: _Line, channel: bytes, grant: int) -> Erased:
    """Ask over a line. Raises `Refused` with the peer's fault, and whatever the line raises when it ends."""
    await line.send_many([(ERASE, encode(Erase(channel, grant)))])
    kind, payload = await line.receive()
    if kind == DENIED:
        raise denial_of(payload, "the peer does not erase it")
    require(kind == ERASED, Fault.UNEXPECTED, f"message {kind} where {ERASED} was due")
    return decode_erased(payload)
