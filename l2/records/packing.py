"""What a body is before it is encrypted: a head, then the content as it is or as one zstd frame, in streams.

body = salt (32) ‖ codec (1) ‖ content size (8, little-endian) ‖ data. Packing and unpacking hold a few hundred
kilobytes, whatever the content's size. Knows no keys. docs/spec/records.md, rules BODY-1, 6 and 7.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import zstandard

from l1.ground.faults import Fault, Refused, require
from l2.records import limits
from l2.records.cipher import Octets
from l2.records.limits import CHUNK_BYTES, TAG_BYTES

__all__ = [
    "HEAD_BYTES",
    "RAW",
    "SALT_BYTES",
    "ZSTD",
    "Packer",
    "Unpacked",
    "content_bytes_max",
    "head_of",
    "new_packer",
    "new_unpacker",
    "squeeze",
    "unpack_short",
]

SALT_BYTES = 32
HEAD_BYTES = SALT_BYTES + 1 + 8
RAW, ZSTD = 0, 1

_LEVEL = 3  # 17 to 50 times smaller on FHIR; higher levels cost more than they save on a hospital's line
_PROBE_BYTES = 128 * 1024
_WORTH_IT = 0.95  # above this ratio compression does not pay its own time
_READ_BYTES = 256 * 1024
_AT_ONCE_BYTES = 64 * 1024


def head_of(salt: bytes, codec: int, size: int) -> bytes:
    """[BODY-1] The head of a body."""
    assert len(salt) == SALT_BYTES
    return salt + bytes((codec,)) + size.to_bytes(8, "little")


def content_bytes_max(cipher_size: int) -> int:
    """[BODY-6] What a compressed body of that ciphertext size may unpack to."""
    return max(limits.SMALL_BYTES, cipher_size * limits.RATIO_MAX)


def squeeze(content: bytes, packer: zstandard.ZstdCompressor) -> bytes | None:
    """A short content compressed, or None where that does not pay."""
    data = packer.compress(content)
    return data if len(data) < len(content) * _WORTH_IT and len(content) <= content_bytes_max(len(data)) else None


def new_packer() -> zstandard.ZstdCompressor:
    """Not to be shared between threads."""
    return zstandard.ZstdCompressor(level=_LEVEL)


class Packer:
    """[BODY-1] A content that comes in pieces, as a body's data. The first piece decides whether to compress."""

    def __init__(self, first: bytes) -> None:
        """`first` is the content's begin, up to a megabyte of it."""
        middle = max(0, (len(first) - _PROBE_BYTES) // 2)
        probe = first[middle : middle + _PROBE_BYTES]
        pays = len(new_packer().compress(probe)) < len(probe) * _WORTH_IT
        self.codec = ZSTD if pays else RAW
        self._squeezing = new_packer().compressobj() if pays else None

    def feed(self, piece: bytes) -> bytes:
        return piece if self._squeezing is None else self._squeezing.compress(piece)

    def finish(self) -> bytes:
        return b"" if self._squeezing is None else self._squeezing.flush()


class _Reads(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class _Source:
    """An iterator of pieces as something that can be read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._kept = b""

    def read(self, size: int = -1, /) -> bytes:
        data = self._kept or next(self._pieces, b"")
        self._kept = data[size:] if size >= 0 else b""
        return data[:size] if size >= 0 else data


class Unpacked:
    """[BODY-7] A body's head, and its content as an iterator of pieces. Raises `Refused`: MALFORMED, TOO_LARGE.

    The content counts only once the iterator has ended without raising.
    """

    def __init__(
        self, plain: Iterable[Octets], cipher_size: int, unpacker: zstandard.ZstdDecompressor | None = None
    ) -> None:
        """`plain` are the body's pieces; the first is at least the head.

        `unpacker` may be used for one body after another.
        """
        self._unpacker = unpacker
        pieces = iter(plain)
        first: Octets = next(pieces, b"")
        self.salt, self.codec, self.size = _read_head(first, cipher_size)
        self._rest = _with_first(memoryview(first)[HEAD_BYTES:], pieces)

    def __iter__(self) -> Iterator[Octets]:
        total = 0
        for piece in self._rest if self.codec == RAW else self._unsqueezed():
            total += len(piece)
            require(total <= self.size, Fault.MALFORMED, "the content is longer than the body's head says")
            yield piece
        require(total == self.size, Fault.MALFORMED, "the content is shorter than the body's head says")

    def _unsqueezed(self) -> Iterator[bytes]:
        if self.size <= _AT_ONCE_BYTES:
            yield from self._unsqueezed_at_once()
            return
        source: _Reads = _Source(map(bytes, self._rest))
        unpacker = self._unpacker or new_unpacker()
        total = 0
        try:
            with unpacker.stream_reader(source, read_size=CHUNK_BYTES) as reader:  # type: ignore[arg-type]
                # One byte more than promised is asked for, so that surplus shows without being unpacked.
                while total <= self.size and (part := reader.read(min(_READ_BYTES, self.size + 1 - total))):
                    total += len(part)
                    yield part
        except zstandard.ZstdError:
            raise Refused(Fault.MALFORMED, "the body's data is not what its codec says") from None
        for _ in self._rest:  # every chunk is opened, also those behind the end of the data
            raise Refused(Fault.MALFORMED, "data behind the end of the content")

    def _unsqueezed_at_once(self) -> Iterator[bytes]:
        yield _unsqueeze(b"".join(self._rest), self.size, self._unpacker or new_unpacker())


def _read_head(first: Octets, cipher_size: int) -> tuple[bytes, int, int]:
    """Salt, codec and size of the content. Raises `Refused`: MALFORMED, TOO_LARGE."""
    require(len(first) >= HEAD_BYTES, Fault.MALFORMED, "the body is shorter than its head")
    codec, size = first[SALT_BYTES], int.from_bytes(first[SALT_BYTES + 1 : HEAD_BYTES], "little")
    if codec != RAW:
        require(codec == ZSTD, Fault.MALFORMED, f"there is no codec {codec}")
        # [BODY-6] Unpacking stops at the size that the head promises, and that is bounded by the granted size.
        require(size <= content_bytes_max(cipher_size), Fault.TOO_LARGE, f"a body that claims {size} bytes")
    return bytes(first[:SALT_BYTES]), codec, size


def _unsqueeze(data: Octets, size: int, unpacker: zstandard.ZstdDecompressor) -> bytes:
    """A short content: one call, bounded by what the head promises, instead of a stream's machinery."""
    try:
        claimed = zstandard.frame_content_size(data)
        require(claimed in (-1, size), Fault.MALFORMED, "the content has another size than the body's head says")
        return unpacker.decompress(data, max_output_size=max(1, size), allow_extra_data=False)
    except zstandard.ZstdError:
        raise Refused(Fault.MALFORMED, "the body's data is not what its codec says") from None


def unpack_short(plain: bytearray, unpacker: zstandard.ZstdDecompressor) -> tuple[bytes, bytes]:
    """[BODY-7] Salt and content of a body of one chunk, in one go. Raises `Refused`: MALFORMED, TOO_LARGE."""
    cipher_size = len(plain) + TAG_BYTES
    salt, codec, size = _read_head(plain, cipher_size)
    if size > _AT_ONCE_BYTES:
        return salt, b"".join(Unpacked((plain,), cipher_size, unpacker))
    data = memoryview(plain)[HEAD_BYTES:]
    content = bytes(data) if codec == RAW else _unsqueeze(data, size, unpacker)
    require(len(content) == size, Fault.MALFORMED, "the content has another size than the body's head says")
    return salt, content


def new_unpacker() -> zstandard.ZstdDecompressor:
    """Not to be shared between threads."""
    return zstandard.ZstdDecompressor(max_window_size=1 << limits.WINDOW_LOG_MAX)


def _with_first(first: memoryview, rest: Iterator[Octets]) -> Iterator[Octets]:
    if first:
        yield first
    yield from rest
