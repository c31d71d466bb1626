"""Many short records in one request: a canonical msgpack array of [name, content], so that a folder of small files does
not cost a request for each."""

from typing import Annotated

from msgspec import Meta

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, require

__all__ = ["CROWD_BYTES_MAX", "CROWD_MAX", "NAME_CHARS_MAX", "NewRecord", "decode_crowd", "encode_crowd"]

CROWD_MAX = 512  # records in one request; as many as are stored with one sync
CROWD_BYTES_MAX = 8 * 1024 * 1024  # of one request: it is held in memory
NAME_CHARS_MAX = 256


class NewRecord(Shape, frozen=True):
    """A record to be taken in, under the name of its file."""

    name: Annotated[str, Meta(max_length=NAME_CHARS_MAX)]
    content: bytes


_decode = decoder(tuple[NewRecord, ...], bytes_max=CROWD_BYTES_MAX, what="records")


def decode_crowd(body: bytes) -> tuple[NewRecord, ...]:
    """The records of a request body. Raises `Refused`."""
    crowd = _decode(body)
    require(len(crowd) <= CROWD_MAX, Fault.TOO_LARGE, f"{len(crowd)} records; at most {CROWD_MAX} go at once")
    return crowd


def encode_crowd(crowd: tuple[NewRecord, ...]) -> bytes:
    return encode(crowd)
