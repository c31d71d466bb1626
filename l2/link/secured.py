"""TLS over a stream, in few and large steps: every record that has arrived is opened at once.

Trio's own `SSLStream` opens one record of 16 KiB for each wake-up, which costs a long body more than the cipher does.
Knows nothing of messages or certificates. Source: RFC 8446; docs/decisions/bodies-in-large-steps.md.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import trio
from trio.abc import Stream

__all__ = ["SecuredStream"]

_TAKE_BYTES_MIN = 64 * 1024  # asked of the network at once; more where more has come
_TAKE_BYTES_MAX = 512 * 1024
_RECORD_BYTES = 16 * 1024  # what a record opens to at most (RFC 8446, section 5.1)
_SEAL_BYTES = 512 * 1024  # sealed, and then sent: bounds what lies beside the caller's bytes


class SecuredStream(Stream):
    """One end of a TLS connection. One task may send while another receives.

    A send that is cancelled leaves the stream broken, since half a record may be out. A network that ends without
    TLS's own goodbye is a broken stream too: somebody may have cut it.
    """

    def __init__(
        self, transport: Stream, context: ssl.SSLContext, *, server_side: bool = False, name: str | None = None
    ) -> None:
        """`name` is what a client says in `server_name`, in the clear."""
        self._transport = transport
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side, server_hostname=name)
        self._flushing = trio.Lock()
        self._take_bytes = _TAKE_BYTES_MIN
        self._is_broken = self._is_closed = False

    async def do_handshake(self) -> None:
        """Raises `trio.BrokenResourceError`; then the peer was told what is wrong, if it is there to hear it."""
        try:
            with self._breaking():
                while not self._shake():
                    await self._flush()
                    await self._fill()
        finally:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._flush()

    def _shake(self) -> bool:
        try:
            self.session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._check()
        with memoryview(data) as view:
            try:
                for start in range(0, len(view), _SEAL_BYTES):
                    with self._breaking():
                        self._seal(view[start : start + _SEAL_BYTES])
                    await self._flush()
            except BaseException:
                self._is_broken = True
                raise

    def _seal(self, view: memoryview) -> None:
        while view:
            view = view[self.session.write(view) :]

    async def receive_some(self, max_bytes: int | None = None) -> bytearray:
        """All that has arrived, at most `max_bytes`; nothing at the end."""
        self._check()
        await trio.lowlevel.checkpoint()
        while True:
            with self._breaking():
                data = self._open(max_bytes or _TAKE_BYTES_MAX)
            if self._outgoing.pending:  # TLS's own answers: a certificate that was asked for, another key
                await self._flush()
            if data is not None:
                return data
            await self._fill()

    def _open(self, most: int) -> bytearray | None:
        """What the records that are here open to: None while none is whole, nothing at the end."""
        room, at = min(most, self._incoming.pending + _RECORD_BYTES), 0
        data = bytearray(room)
        with memoryview(data) as view:
            while at < room:
                try:
                    with view[at:] as rest:
                        opened = int(self.session.read(room - at, rest))
                except ssl.SSLWantReadError:
                    if not at:
                        return None
                    break
                except ssl.SSLError:
                    if not at:
                        raise
                    break  # what came before is good, and TLS says the same again when asked again
                if not opened:
                    break
                at += opened
        del data[at:]
        return data

    async def _fill(self) -> None:
        """Wait for more from the network."""
        data = await self._transport.receive_some(self._take_bytes)
        self._take_bytes = min(_TAKE_BYTES_MAX, max(_TAKE_BYTES_MIN, 2 * len(data)))
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        """Send what TLS has made, in the order in which it was made."""
        async with self._flushing:
            if not self._outgoing.pending:
                return
            try:
                await self._transport.send_all(self._outgoing.read())
            except BaseException:
                self._is_broken = True
                raise

    @contextmanager
    def _breaking(self) -> Iterator[None]:
        """What TLS does not accept ends the stream."""
        try:
            yield
        except ssl.SSLError as error:
            self._is_broken = True
            raise trio.BrokenResourceError from error

    def _check(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("the stream is closed")
        if self._is_broken:
            raise trio.BrokenResourceError("the stream is broken")

    async def wait_send_all_might_not_block(self) -> None:
        self._check()
        await self._transport.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Say goodbye, unless the stream is broken; then close."""
        if self._is_closed:
            await trio.lowlevel.checkpoint()
            return
        self._is_closed = True
        try:
            if not self._is_broken:
                with suppress(ssl.SSLError):
                    self.session.unwrap()
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await self._flush()
        except BaseException:
            await trio.aclose_forcefully(self._transport)
            raise
        await self._transport.aclose()
