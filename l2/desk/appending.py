"""An append stream from the client's side: what the desk's POST of drafts does, for a program that appends all day.

Several tasks may append at once; answers come in the order in which the messages went. When the stream ends with
messages under way, nobody knows whether they are written: the log says so. docs/decisions/append-stream.md.
"""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import msgspec
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection

from l1.ground.faults import Fault, LocalError, Refused, require
from l2.desk import words
from l2.desk.drafts import UNDER_WAY_MAX, Draft, Wait, encode_drafts
from l2.desk.problem import error_from
from l2.desk.socket import Stream, beside, open_socket

__all__ = ["AppendStream", "open_append_stream"]

CONNECT_S = 5.0
ANSWER_S = 120.0  # as long as a desk waits

_written = msgspec.json.Decoder(words.Written).decode


@dataclass(slots=True)
class _Asked:
    """A message, and what came of it."""

    drafts: bytes
    done: trio.Event = field(default_factory=trio.Event)
    answer: words.Written | Refused | LocalError | None = None

    def answered(self, answer: words.Written | Refused | LocalError) -> None:
        self.answer = answer
        self.done.set()


class AppendStream:
    """An open stream; `open_append_stream` makes one."""

    def __init__(self, socket: WebSocketConnection, url: str) -> None:
        self._socket, self._url = socket, url
        self._outbox, self._inbox = trio.open_memory_channel[_Asked](0)
        self._under_way: deque[_Asked] = deque()

    async def append(self, drafts: Sequence[Draft]) -> words.Written:
        """Write entries, as `Desk.append` does. Raises `Refused`, and `LocalError`."""
        return await self.append_encoded(encode_drafts(list(drafts)))

    async def append_encoded(self, drafts: bytes) -> words.Written:
        asked = _Asked(drafts)
        with trio.move_on_after(ANSWER_S):
            try:
                await self._outbox.send(asked)
            except trio.BrokenResourceError:
                raise self._why("none of these entries is written", "Open another stream.") from None
            await asked.done.wait()
        if asked.answer is None:
            raise LocalError(f"the hospital at {self._url} does not answer", "Look at its log; ask again.")
        if isinstance(asked.answer, Exception):
            raise asked.answer
        return asked.answer

    async def run(self) -> None:
        """Send and receive until the stream ends."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_all)
                nursery.start_soon(self._receive_all)
        except* (ConnectionClosed, Refused):
            self._inbox.close()
            for asked in self._under_way:
                cause = "of what was under way nobody knows whether it is written"
                asked.answered(self._why(cause, "Read the log before you send it again."))

    async def _send_all(self) -> None:
        """In a task of its own, so that nobody who gives up waiting breaks off in the middle of a message."""
        async for asked in self._inbox:
            self._under_way.append(asked)
            await self._socket.send_message(asked.drafts)

    async def _receive_all(self) -> None:
        while True:
            text = await self._socket.get_message()
            require(bool(self._under_way), Fault.UNEXPECTED, "an answer that nobody asked for")
            self._under_way.popleft().answered(_answer_in(text))

    def _why(self, what: str, remedy: str) -> LocalError:
        closed = self._socket.closed
        why = (closed.reason or closed.name) if closed else "what it said was no answer"
        return LocalError(f"the hospital at {self._url} has ended the stream ({why}): {what}", remedy)


def _answer_in(message: str | bytes) -> words.Written | Refused | LocalError:
    try:
        return _written(message)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return error_from(0, message if isinstance(message, bytes) else message.encode())


@asynccontextmanager
async def open_append_stream(
    url: str, authorization: str, channel: str, wait: Wait = "receipt"
) -> AsyncIterator[AppendStream]:
    """Raises `Refused`, and `LocalError`, as a question at the desk does."""
    at = httpx.URL(url)
    target = f"{at.path.rstrip('/')}/v1/channels/{channel}/entries/stream?wait={wait}"
    made: AppendStream | None = None
    try:
        with trio.fail_after(CONNECT_S):
            stream = await _connect(at)
        async with open_socket(stream, at.netloc.decode(), target, authorization, waiting_max=UNDER_WAY_MAX) as socket:
            made = AppendStream(socket, url)
            async with beside(made.run):
                yield made
    except ConnectionRejected as rejected:
        raise error_from(rejected.status_code, rejected.body or b"") from None
    except (OSError, trio.TooSlowError) as error:
        if made is not None:
            raise
        cause = f"no hospital answers at {url} ({error or type(error).__name__})"
        raise LocalError(cause, "Start it: `interward hospital run`.") from None


async def _connect(at: httpx.URL) -> Stream:
    if at.scheme == "https":  # as behind a proxy
        return await trio.open_ssl_over_tcp_stream(at.host, at.port or 443, https_compatible=True)
    return await trio.open_tcp_stream(at.host, at.port or 80)
