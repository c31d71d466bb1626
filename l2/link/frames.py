"""Frames on a secure line: length, type, number, payload. Sans-IO: bytes in, messages out, and the other way.

Knows nothing of what a message means: the caller says which types it understands. A frame is

    length of the payload (4 bytes, big-endian) ‖ type (1 byte) ‖ number (4 bytes, big-endian) ‖ payload

and numbers start at 0 in each direction, grow by one and wrap at 2**32. Source: docs/spec/line.md, rules LINE-1 to 4.
"""

from collections.abc import Container, Iterable, Iterator
from struct import Struct

from l1.ground.faults import Fault, Refused
from l1.ground.limits import FRAME_BYTES_MAX

__all__ = ["HEADER_BYTES", "FrameReader", "FrameWriter", "Message", "Outbound"]

Message = tuple[int, bytes]
"""Type and payload, as it arrives."""

Outbound = tuple[int, bytes | bytearray]
"""The same on its way out; not to be changed any more."""

_HEADER = Struct(">IBI")
HEADER_BYTES = _HEADER.size
_NUMBER_MASK = 0xFFFF_FFFF
_PARTS_MAX = 64  # of a frame that comes in drops: each costs more than the byte in it
_LONG_BYTES = 128 * 1024  # a payload so long is written by itself, not copied to stand behind its header


class FrameWriter:
    """Numbers messages and joins them, so that a batch is one write."""

    def __init__(self) -> None:
        self._number = 0

    def join(self, messages: Iterable[Outbound]) -> bytes:
        """The frames of these messages, in order, as one piece."""
        return b"".join(self._parts(messages))

    def pieces(self, messages: Iterable[Outbound]) -> Iterator[bytes | bytearray]:
        """The same as a few pieces, each to be written before the next is asked for: what is long is not copied."""
        short: list[bytes | bytearray] = []
        for part in self._parts(messages):
            if len(part) < _LONG_BYTES:
                short.append(part)
                continue
            yield b"".join(short)
            yield part
            short.clear()
        if short:
            yield b"".join(short)

    def _parts(self, messages: Iterable[Outbound]) -> Iterator[bytes | bytearray]:
        for kind, payload in messages:
            assert len(payload) <= FRAME_BYTES_MAX
            yield _HEADER.pack(len(payload), kind, self._number)
            yield payload
            self._number = (self._number + 1) & _NUMBER_MASK


class FrameReader:
    """Cuts what arrives into messages, however the network split it.

    A fault is kept back until the messages before it are taken, so that what is good does not depend on how the
    bytes were cut. After a fault nothing more is read.
    """

    def __init__(self, known: Container[int], bytes_max: int = FRAME_BYTES_MAX, *, one_by_one: bool = False) -> None:
        self._parts: list[bytes | bytearray] = []  # what has come of frames that are not whole yet
        self._size = 0
        self._due = HEADER_BYTES  # nothing more can be read before so much is here
        self._number = 0
        self._known = known
        self._bytes_max = bytes_max
        self._one_by_one = one_by_one
        self._fault: Refused | None = None

    def widen(self, known: Container[int], bytes_max: int = FRAME_BYTES_MAX) -> None:
        """From now on, also for what has arrived already, other types and sizes are expected: the peer is known."""
        self._known, self._bytes_max, self._one_by_one = known, bytes_max, False

    def feed(self, data: bytes | bytearray) -> list[Message]:
        """Every message that `data` completes. Raises `Refused`: TOO_LARGE, FRAME_GAP, UNKNOWN_MESSAGE.

        One by one, it gives the first, and each next one for another call, with no data if need be: what follows a
        handshake's last message may be more than the handshake allows.
        """
        if data and self._fault is None:
            self._parts.append(data)
            self._size += len(data)
            if len(self._parts) > _PARTS_MAX:
                self._parts = [b"".join(self._parts)]
        # Half a frame is not looked at again and again, nor copied, until the rest of it is here.
        messages = self._cut() if self._fault is None and self._size >= self._due else []
        if self._fault is not None and not messages:
            raise self._fault
        return messages

    def _cut(self) -> list[Message]:
        messages: list[Message] = []
        try:
            if len(self._parts) > 1 and self._due > HEADER_BYTES:
                messages += self._join()
            data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts, self._size = [], 0
            at = 0
            with memoryview(data) as view:
                while not (messages and self._one_by_one):
                    message, taken = self._next(view[at:])
                    if not taken:
                        break
                    at += taken
                    if message is not None:
                        messages.append(message)
            rest = data[at:]
            self._parts, self._size = [rest] if rest else [], len(rest)
        except Refused as refused:
            self._fault = refused
        return messages

    def _join(self) -> list[Message]:
        """The frame that all parts are needed for, each copied once. What follows it is in the last part."""
        *before, last = self._parts
        _, kind, _ = _HEADER.unpack_from(before[0])
        end = self._due - sum(map(len, before))
        with memoryview(before[0]) as first, memoryview(last) as view:
            payload = b"".join((first[HEADER_BYTES:], *before[1:], view[:end]))
            rest = bytes(view[end:])
        self._parts, self._size, self._due = [rest], len(rest), HEADER_BYTES
        self._number = (self._number + 1) & _NUMBER_MASK
        return [(kind, payload)] if kind in self._known else []

    def _next(self, view: memoryview) -> tuple[Message | None, int]:
        """The first frame's message (None: to be ignored) and the bytes it takes (0: more must arrive first)."""
        self._due = HEADER_BYTES
        if len(view) < HEADER_BYTES:
            return None, 0
        length, kind, number = _HEADER.unpack_from(view)
        if length > self._bytes_max:
            raise Refused(Fault.TOO_LARGE, f"a frame of {length} bytes, at most {self._bytes_max} are allowed")
        if number != self._number:
            raise Refused(Fault.FRAME_GAP, f"frame {number} where {self._number} was due")
        # [LINE-3] It is all right to be odd: what a newer peer may say to an older one has an odd type.
        if kind not in self._known and kind % 2 == 0:
            raise Refused(Fault.UNKNOWN_MESSAGE, f"message type {kind} is unknown and not to be ignored")
        end = HEADER_BYTES + length
        if len(view) < end:
            self._due = end
            return None, 0
        self._number = (number + 1) & _NUMBER_MASK
        if kind not in self._known:
            return None, end
        return (kind, bytes(view[HEADER_BYTES:end])), end
