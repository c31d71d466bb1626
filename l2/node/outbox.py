"""What waits for a channel's line to take it to the peer.

Lines are numbered as they come: words that were decided for an older one are not said on a newer one. It knows neither
what messages mean nor who decides them.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import TypeVar

import trio

from l2.link import Line

__all__ = ["Outbox", "drain", "take"]

OUTBOX_MESSAGES = 4_096  # far more than the window lets through: a peer that takes nothing is cut off
OUTBOX_BUSY = 256  # then what a peer lacks of the logs waits until it has taken what is on its way [REC-5]
MESSAGES_PER_SEND = 64  # what one write to the line may hold

Message = tuple[int, bytes]
T = TypeVar("T")


def drain(inbox: trio.MemoryReceiveChannel[T], taken: list[T], most: int) -> list[T]:
    """What was taken, and all that has arrived besides, up to so many."""
    with suppress(trio.WouldBlock, trio.EndOfChannel):
        while len(taken) < most:
            taken.append(inbox.receive_nowait())
    return taken


class Outbox:
    """One for each channel, whatever lines come and go."""

    def __init__(self) -> None:
        self.line = 0  # the number of the newest
        self._messages: trio.MemorySendChannel[Message] | None = None

    def open(self) -> trio.MemoryReceiveChannel[Message]:
        """For the next line: what it is to take."""
        self._messages, taken = trio.open_memory_channel[Message](OUTBOX_MESSAGES)
        self.line += 1
        return taken

    def post(self, line: int, messages: Sequence[Message]) -> None:
        """Leave messages for the line of that number. A peer that takes nothing is cut off: without a line nothing is
        lost, it is sent again on the next one."""
        for message in messages if line == self.line else ():
            if self._messages is None:
                return
            try:
                self._messages.send_nowait(message)
            except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
                self.cut()

    def is_busy(self) -> bool:
        """Whether the line has much to take already."""
        return self._messages is not None and self._messages.statistics().current_buffer_used >= OUTBOX_BUSY

    def cut(self) -> None:
        """Nothing more goes over this line."""
        if self._messages is not None:
            self._messages.close()
            self._messages = None


async def take(messages: trio.MemoryReceiveChannel[Message], line: Line) -> None:
    """Hand over to a line what is left for it next, all at once; waits for something. Raises `LineClosed`, and
    `trio.EndOfChannel` once the line was cut."""
    await line.send_many(drain(messages, [await messages.receive()], MESSAGES_PER_SEND))
