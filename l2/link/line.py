"""A line: messages to and from one hospital over a stream, with limits and deadlines.

Knows how messages move; does not know what they mean, nor how the peer was made known (`l2.link.door`). What a peer
does wrong is `Refused`; a line that ended, for whatever reason, is `LineClosed`. Source: docs/spec/line.md.
"""

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import trio
from trio.abc import Stream

from l1.ground.codec import encode
from l1.ground.faults import Fault, Refused
from l1.rules.state import Hospital
from l2.link.frames import FrameReader, FrameWriter, Message, Outbound
from l2.link.hello import (
    ALIVE,
    HELLO_BYTES_MAX,
    LINE_MESSAGES,
    REFUSAL,
    Hello,
    Refusal,
    Role,
    check_counts,
    decode_refusal,
)

__all__ = ["Limits", "Line", "LineClosed", "Meter"]

_RECEIVE_BYTES = 512 * 1024
_DAY_S = 86_400.0
_GOODBYE_S = 1.0  # long enough to hand a last word to the kernel; a peer that does not read gets no more


@dataclass(frozen=True)
class Limits:
    """What a peer, and whoever knocks, may cost us."""

    handshake_s: float = 10.0  # TLS and hello, on a slow hospital line
    send_s: float = 60.0  # a peer that reads nothing for so long is gone
    beat_s: float = 15.0  # who has said nothing for so long says that it is there
    silent_s: float = 60.0  # who says nothing for so long is gone, or the network in between swallows it
    unproved_max: int = 64  # connections that have not proved who they are
    unproved_per_address_max: int = 16  # so that one address cannot keep all others out
    lines_per_peer_max: int = 1_100  # a thousand channels with one hospital, and its record pulls
    bytes_per_day_max: int = 4 * 1024**4  # 4 TiB: 400,000 updates a second all day long


class LineClosed(Exception):  # noqa: N818 - an event, not an error of ours
    """The line ended, or could not be made. `fault` is the number the peer gave, if it gave one."""

    def __init__(self, reason: str, fault: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fault = fault


class Meter:
    """Bytes that a peer may still send today, over all its lines."""

    def __init__(self, bytes_per_day_max: int) -> None:
        self._max = bytes_per_day_max
        self._day = -1.0
        self.spent = 0

    def spend(self, count: int, now_s: float) -> None:
        """Raise `Refused` (TOO_LARGE) once the peer has sent more than its day's allowance."""
        day = now_s // _DAY_S
        if day != self._day:
            self._day, self.spent = day, 0
        self.spent += count
        if self.spent > self._max:
            raise Refused(Fault.TOO_LARGE, f"more than {self._max} bytes in a day")


class Line:
    """One task may send while another receives.

    `peer` is the hospital at the other end, proved, and `role` what the line carries; `hello` is what the peer said of
    itself, `fingerprint` its certificate's; `ours` are the channel key's number and the fingerprint that we showed.
    `bytes_in` and `bytes_out` count frames, without TLS.
    """

    def __init__(self, stream: Stream, limits: Limits) -> None:
        self.peer = b""
        self.role = Role.CHANNEL
        self.hello: Hello | None = None
        self.fingerprint = b""
        self.ours = (0, b"")
        self.bytes_in = 0
        self.bytes_out = 0
        self._stream = stream
        self._limits = limits
        self._meter = Meter(limits.bytes_per_day_max)
        self._reader = FrameReader(LINE_MESSAGES, HELLO_BYTES_MAX, one_by_one=True)
        self._writer = FrameWriter()
        self._arrived: deque[Message] = deque()
        self._end: LineClosed | None = None
        self._sending = trio.Lock()
        self._beaten = 0  # how much we had sent at the last beat

    def introduce(self, hello: Hello, fingerprint: bytes, known: Iterable[int], meter: Meter | None = None) -> None:
        """The peer is proved: from now on the messages in `known` may come, up to the full size."""
        types = frozenset(known)
        assert not types & LINE_MESSAGES
        self.peer, self.role, self.hello, self.fingerprint = hello.hospital, Role(hello.role), hello, fingerprint
        self._reader.widen(types | {REFUSAL})
        self._meter = meter or self._meter

    def check_still_counts(self, hospital: Hospital, clock_ms: int) -> None:
        """Raise `Refused` (UNKNOWN_PEER) once the keys that made this line count no longer: then it is to be cut."""
        assert self.hello is not None
        check_counts(hospital, self.hello.key, self.fingerprint, clock_ms)

    async def send(self, kind: int, payload: bytes) -> None:
        """Send one message. Raises `LineClosed`."""
        await self.send_many(((kind, payload),))

    async def send_many(self, messages: Iterable[Outbound]) -> None:
        """Send messages in one write, or a few where they are long. Raises `LineClosed`, also when the peer takes
        nothing for too long."""
        async with self._sending:
            for piece in self._writer.pieces(messages):
                await self._send(piece)

    async def _send(self, data: bytes | bytearray) -> None:
        try:
            with trio.fail_after(self._limits.send_s):
                await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise LineClosed(_reason(error)) from None
        except trio.TooSlowError:
            raise LineClosed(f"the peer took nothing for {self._limits.send_s:g} s") from None
        self.bytes_out += len(data)

    async def beat(self) -> None:
        """[LINE-14] To be called every `beat_s`: who has said nothing since the last time says that it is there.

        Raises `LineClosed`. What is on its way already is a sign of life too."""
        if self.bytes_out == self._beaten and not self._sending.locked():
            await self.send(ALIVE, b"")
        self._beaten = self.bytes_out

    async def receive(self) -> Message:
        """The next message. Raises `LineClosed` at the end of the line, `Refused` for what no honest peer sends."""
        if not self._arrived:
            self._arrived.extend(await self.receive_many())
        return self._arrived.popleft()

    async def receive_many(self) -> list[Message]:
        """All messages that have arrived, at least one. Raises like `receive`."""
        messages = list(self._arrived)
        self._arrived.clear()
        while not messages:
            if self._end is not None:
                raise self._end
            messages = self._heed(self._reader.feed(b"") or self._reader.feed(await self._receive_bytes()))
        return messages

    def _heed(self, messages: list[Message]) -> list[Message]:
        """What came before the peer's refusal, if there is one; the line ends after it."""
        for position, (kind, payload) in enumerate(messages):
            if kind == REFUSAL:
                refusal = decode_refusal(payload)
                self._end = LineClosed(f"the peer refused: {refusal.detail}", refusal.fault)
                return messages[:position]
        return messages

    async def _receive_bytes(self) -> bytes | bytearray:
        silent_s = self._limits.silent_s
        try:
            with trio.fail_after(silent_s):
                data = await self._stream.receive_some(_RECEIVE_BYTES)
        except trio.TooSlowError:
            raise LineClosed(f"the peer said nothing for {silent_s:g} s, not even that it is there") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise LineClosed(_reason(error)) from None
        if not data:
            raise LineClosed("the peer ended the line")
        self.bytes_in += len(data)
        self._meter.spend(len(data), trio.current_time())
        return data

    async def refuse(self, refused: Refused) -> None:
        """Tell the peer what it did wrong, and close. Never raises for the line's sake."""
        with trio.move_on_after(_GOODBYE_S, shield=True):
            with suppress(LineClosed):
                await self.send(REFUSAL, encode(Refusal.of(refused)))
        await self.aclose()

    async def aclose(self) -> None:
        """Close the line, politely if the peer lets us, also when cancelled."""
        with trio.move_on_after(_GOODBYE_S, shield=True):
            with suppress(trio.BrokenResourceError):
                await self._stream.aclose()
        await trio.aclose_forcefully(self._stream)


def _reason(error: Exception) -> str:
    cause = error.__cause__
    return f"the line broke ({cause})" if cause is not None else "the line broke"
