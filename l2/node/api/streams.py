"""Server-sent events: what happens at the hospital, to every desk that listens.

Each listener has an inbox of its own; one that does not keep up is told so and let go, and costs nobody anything.
"""

from collections.abc import AsyncIterator

import msgspec
import trio

from l1.ground.faults import LocalError
from l2.node.hospital import Event, Hospital

__all__ = ["Streams"]

LISTENERS_MAX = 64
INBOX_EVENTS_MAX = 1_024  # news that may wait for one slow listener
KEEP_ALIVE_S = 15.0  # a comment on a silent stream, so that proxies keep it


class Streams:
    """The open streams of one hospital."""

    def __init__(self, hospital: Hospital) -> None:
        self._hospital = hospital
        self._open = 0

    def check_room(self) -> None:
        """Raises `LocalError` while there are as many listeners as we serve."""
        if self._open >= LISTENERS_MAX:
            raise LocalError(f"{LISTENERS_MAX} desks listen already", "Close one of their streams.")

    async def listen(self) -> AsyncIterator[bytes]:
        """Events from now on, as they go over the line."""
        outbox, inbox = trio.open_memory_channel[Event](INBOX_EVENTS_MAX)

        def hear(event: Event) -> None:
            try:
                outbox.send_nowait(event)
            except trio.WouldBlock:
                self._hospital.listeners.remove(hear)
                outbox.close()

        self._hospital.listeners.append(hear)
        self._open += 1
        try:
            yield b": listening\n\n"
            while True:
                yield await _next(inbox)
        except trio.EndOfChannel:
            yield b'event: lost\ndata: {"what":"lost","channel":"","detail":"this listener was too slow"}\n\n'
        finally:
            self._open -= 1
            if hear in self._hospital.listeners:
                self._hospital.listeners.remove(hear)


async def _next(inbox: trio.MemoryReceiveChannel[Event]) -> bytes:
    with trio.move_on_after(KEEP_ALIVE_S):
        event = await inbox.receive()
        data = {"what": event.what, "channel": event.channel, "detail": event.detail}
        return b"event: news\ndata: " + msgspec.json.encode(data) + b"\n\n"
    return b": still here\n\n"
