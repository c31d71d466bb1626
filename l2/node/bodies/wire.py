"""The messages of a records line, as canonical msgpack arrays. All types are even: who does not know them must say so.

docs/spec/records.md, rules PULL-*.
"""

from typing import Annotated

from msgspec import DecodeError, Meta
from msgspec.msgpack import Decoder

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, Refused, require
from l1.ground.fields import ChannelId, Digest, Size
from l1.ground.limits import FRAME_BYTES_MAX
from l2.records.limits import SEALED_CHUNK_BYTES

__all__ = [
    "CHUNKS",
    "CHUNKS_HEAD_BYTES",
    "CHUNKS_PER_MESSAGE",
    "DENIED",
    "ERASE",
    "ERASED",
    "GATHER",
    "GATHERED",
    "GATHER_MAX",
    "HASHES",
    "HASHES_PER_MESSAGE",
    "MESSAGES",
    "PULL",
    "RANGES_MAX",
    "WRAPPED",
    "Chunks",
    "Denied",
    "Gather",
    "Gathered",
    "Hashes",
    "Pull",
    "Short",
    "Unsent",
    "Wrapped",
    "chunks_message",
    "decode_chunks",
    "decode_denied",
    "decode_gather",
    "decode_gathered",
    "decode_hashes",
    "decode_pull",
    "decode_wrapped",
    "denial_of",
    "fault_of",
]

PULL, HASHES, CHUNKS, WRAPPED, DENIED, GATHER, GATHERED, ERASE, ERASED = 32, 34, 36, 38, 40, 42, 44, 46, 48

MESSAGES = frozenset({PULL, HASHES, CHUNKS, WRAPPED, DENIED, GATHER, GATHERED, ERASE, ERASED})
"""Every type that a records line must understand."""

RANGES_MAX = 1_024  # gaps named in one pull; a download with more asks again
HASHES_PER_MESSAGE = 16_384  # 512 KiB
CHUNKS_HEAD_BYTES = 16  # what stands before the ciphertext takes less, and no chunk is so short
CHUNKS_PER_MESSAGE = (FRAME_BYTES_MAX - CHUNKS_HEAD_BYTES) // SEALED_CHUNK_BYTES  # 15: a frame a chunk costs more
GATHER_MAX = 1_024  # short bodies asked for in one message: one sync, one append and one hand-over for all of them

_BIN = {1: b"\xc4", 2: b"\xc5", 4: b"\xc6"}  # msgpack's mark for bytes, by the width of their length
_Wrap = Annotated[bytes, Meta(max_length=256)]


class Pull(Shape, frozen=True):
    """Recipient: send me of the body of that grant. With a one-time key: all chunk hashes, and the wrapped key.
    `ranges` are first and past-the-last chunk, ascending."""

    channel: ChannelId
    grant: Size
    one_time: Digest | None
    ranges: Annotated[tuple[tuple[Size, Size], ...], Meta(max_length=RANGES_MAX)]


class Hashes(Shape, frozen=True):
    """Custodian: chunk hashes in order, 32 bytes each; as many messages as it takes."""

    hashes: Annotated[bytes, Meta(max_length=HASHES_PER_MESSAGE * 32)]


class Chunks(Shape, frozen=True):
    """Custodian: the ciphertext of consecutive chunks, from `first` on."""

    first: Size
    data: memoryview  # of the message itself: half a megabyte is not copied to be looked at


class Wrapped(Shape, frozen=True):
    """Custodian: the body's key under both one-time keys and the secret not yet released."""

    one_time: Digest
    wrapped: _Wrap


class Denied(Shape, frozen=True):
    """Custodian: that pull is not answered, and why."""

    fault: int
    detail: Annotated[str, Meta(max_length=500)]


class Gather(Shape, frozen=True):
    """Recipient: send me these short bodies, of one chunk each. `grants` ascend."""

    channel: ChannelId
    one_time: Digest
    grants: Annotated[tuple[Size, ...], Meta(min_length=1, max_length=GATHER_MAX)]


class Short(Shape, frozen=True, gc=False):
    """One short body."""

    grant: Size
    chunk: Annotated[bytes, Meta(max_length=SEALED_CHUNK_BYTES)]
    wrapped: _Wrap


class Unsent(Shape, frozen=True, gc=False):
    """One that is not sent, and why."""

    grant: Size
    fault: int
    detail: Annotated[str, Meta(max_length=200)]


class Gathered(Shape, frozen=True):
    """Custodian: some of what was gathered; the last message of an answer says so."""

    one_time: Digest
    bodies: Annotated[tuple[Short, ...], Meta(max_length=GATHER_MAX)]
    unsent: Annotated[tuple[Unsent, ...], Meta(max_length=GATHER_MAX)]
    last: bool


decode_pull = decoder(Pull, bytes_max=64 * 1024, what="pull")
decode_hashes = decoder(Hashes, bytes_max=FRAME_BYTES_MAX, what="chunk hashes")
_decode_chunks = Decoder(Chunks)
decode_wrapped = decoder(Wrapped, bytes_max=1024, what="wrapped key")
decode_denied = decoder(Denied, bytes_max=4096, what="denial")
decode_gather = decoder(Gather, bytes_max=64 * 1024, what="gathering")
decode_gathered = decoder(Gathered, bytes_max=FRAME_BYTES_MAX, what="gathered bodies")


def chunks_message(first: int, size: int) -> tuple[bytearray, int]:
    """A `CHUNKS` message with room for `size` bytes of ciphertext, and where they begin: so they are sealed where they
    are to be."""
    head = _chunks_head(first, size)
    message = bytearray(len(head) + size)
    message[: len(head)] = head
    return message, len(head)


def _chunks_head(first: int, size: int) -> bytes:
    """What stands before the ciphertext: msgpack's `bin` has three lengths, and canonical is the shortest that fits."""
    width = 1 if size < 1 << 8 else 2 if size < 1 << 16 else 4
    return b"\x92" + encode(first) + _BIN[width] + size.to_bytes(width, "big")


def decode_chunks(payload: bytes) -> Chunks:
    """Canonical, like every message; but what is compared is the head alone: the ciphertext after it can be spelled in
    one way only. Raises `Refused`: MALFORMED, NOT_CANONICAL."""
    try:
        chunks = _decode_chunks.decode(payload)
    except (DecodeError, OverflowError) as error:
        raise Refused(Fault.MALFORMED, f"chunks do not decode ({error})") from None
    head = _chunks_head(chunks.first, len(chunks.data))
    fits = len(payload) == len(head) + len(chunks.data) and payload.startswith(head)
    require(fits, Fault.NOT_CANONICAL, "chunks are not in canonical form")
    return chunks


def fault_of(number: int) -> Fault:
    """A fault that the peer names; one that this program does not know is a plain denial."""
    return Fault(number) if number in Fault.__members__.values() else Fault.NOT_GRANTED


def denial_of(payload: bytes, says: str = "the custodian denies") -> Refused:
    """A denial, to be raised. Raises `Refused` (MALFORMED) itself for one that does not decode."""
    denied = decode_denied(payload)
    return Refused(fault_of(denied.fault), f"{says}: {denied.detail}")
