"""Opens gzip inputs, within bounds: a record is what is inside, since that is what a colleague can read."""

import zlib

from l1.ground.faults import Fault, Refused, require
from l2.records.limits import UNPACKED_BYTES_MAX

__all__ = ["is_gzip", "unpack_gzip"]

_MAGIC = b"\x1f\x8b\x08"


def is_gzip(data: bytes) -> bool:
    return data[:3] == _MAGIC


def unpack_gzip(data: bytes, *, bytes_max: int = UNPACKED_BYTES_MAX) -> bytes:
    """[INFO-4] The bytes inside, of every member; data that is no gzip comes back as it is.

    Raises `Refused`: MALFORMED for a damaged file, TOO_LARGE beyond `bytes_max`.
    """
    parts: list[bytes] = []
    total = 0
    while is_gzip(data):
        member = zlib.decompressobj(wbits=31)
        try:
            part = member.decompress(data, bytes_max - total + 1)
        except zlib.error as error:
            raise Refused(Fault.MALFORMED, f"a damaged gzip file ({error})") from None
        total += len(part)
        require(total <= bytes_max, Fault.TOO_LARGE, f"a gzip file that opens to more than {bytes_max} bytes")
        require(member.eof, Fault.MALFORMED, "a gzip file that is cut short")
        parts.append(part)
        data = member.unused_data.lstrip(b"\x00")  # members may be padded with zeros (RFC 1952, gzip's own habit)
    if not parts:
        return data
    require(not data, Fault.MALFORMED, "a gzip file with other bytes behind its end")
    return b"".join(parts)
