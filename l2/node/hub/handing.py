"""Connections on their way from the front to a worker: the socket itself goes over a Unix socket (SCM_RIGHTS, unix(7)).

With each goes a ticket, which comes back once the worker knows who is at the other end, or that it came to nothing: so
the front can count who has not proved anything yet. When the front is gone, so is the worker.
"""

import array
import socket
from contextlib import suppress

import trio
from trio.abc import Listener, Stream

from l1.ground.faults import LocalError

__all__ = ["Handed", "Handing", "pair_of_ends"]

TICKET_BYTES = 8
_DESCRIPTOR_BYTES = array.array("i").itemsize


def pair_of_ends() -> tuple[socket.socket, socket.socket]:
    """The front's end and the worker's. Each message arrives whole."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Handing:
    """The front's end, to one worker."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._plain, self._end = end, trio.socket.from_stdlib_socket(end)

    async def hand(self, ticket: int, connection: trio.SocketStream) -> None:
        """Hand a connection over; the caller closes its own descriptor. Raises `OSError` when the worker is gone, or
        takes nothing."""
        rights = array.array("i", [connection.socket.fileno()])
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
        # Never waits: there is room for all that are unsettled, and whoever takes none of them is as good as gone.
        self._plain.sendmsg([ticket.to_bytes(TICKET_BYTES, "big")], control)
        await trio.lowlevel.checkpoint()

    async def returned(self) -> int | None:
        """The next ticket that comes back; None when the worker is gone."""
        try:
            ticket = await self._end.recv(TICKET_BYTES)
        except (OSError, trio.ClosedResourceError):
            return None
        return int.from_bytes(ticket, "big") if ticket else None

    def close(self) -> None:
        self._end.close()


class Handed(Listener[trio.SocketStream]):
    """The worker's end: a listener whose connections the front has accepted."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._plain, self._end = end, trio.socket.from_stdlib_socket(end)
        self._tickets: dict[Stream, bytes] = {}

    async def accept(self) -> trio.SocketStream:
        """Raises `LocalError` when the front is gone."""
        while True:
            space = socket.CMSG_SPACE(_DESCRIPTOR_BYTES)
            try:
                ticket, control, _, _ = await self._end.recvmsg(TICKET_BYTES, space, socket.MSG_CMSG_CLOEXEC)
            except ConnectionError:
                ticket, control = b"", []
            if not ticket:
                raise LocalError("the front of the hub has ended", "Start the hospital again.")
            if (connection := _connection_in(control)) is not None:
                stream = trio.SocketStream(connection)
                self._tickets[stream] = ticket
                return stream
            self._give_back(ticket)  # no descriptor was free: the peer comes again

    def settled(self, stream: Stream) -> None:
        """Give the ticket back."""
        ticket = self._tickets.pop(stream, None)
        if ticket is not None:
            self._give_back(ticket)

    def _give_back(self, ticket: bytes) -> None:
        """A front that is gone needs none, as `accept` will see; one that takes none now counts no ticket for long."""
        with suppress(OSError):
            self._plain.send(ticket)

    async def aclose(self) -> None:
        self._end.close()
        await trio.lowlevel.checkpoint()


def _connection_in(control: list[tuple[int, int, bytes]]) -> trio.socket.SocketType | None:
    for level, kind, data in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS) and len(data) == _DESCRIPTOR_BYTES:
            (descriptor,) = array.array("i", data)
            return trio.socket.from_stdlib_socket(socket.socket(fileno=descriptor))
    return None
