"""The hospital's secure lines: who dials, who answers, what runs over them.

The side that opened a channel dials, again and again with growing pauses; the other answers. Each channel has a line
of its own, so that one stuck channel never slows another; record bodies travel on lines of role RECORDS.
"""

from collections.abc import Awaitable, Callable

import structlog
import trio

from l1.ground.codec import encode
from l1.ground.faults import Fault, LocalError, Refused, require
from l1.reader.backoff import Backoff
from l1.rules import state as l1_state
from l1.rules.blocks import SignedHeader
from l2.link import Credentials, Identity, Line, LineClosed, Role, Station, connect, serve
from l2.node import bodies
from l2.node.hospital import Hospital
from l2.node.keeper import Keeper
from l2.node.keys import CHANNEL_NUMBER
from l2.protocol.messages import KNOWN, Attach, Message, decode_attach
from l2.protocol.phases import Phase

__all__ = ["Lines", "check_url", "split_address"]

PAUSE_S_MIN, PAUSE_S_MAX = 0.1, 5.0

Propose = Callable[[Line, bytes], Awaitable[None]]
ServePulls = Callable[[bytes, Line], Awaitable[None]]

log = structlog.get_logger()


def split_address(address: str) -> tuple[str, int]:
    """host:port. Raises `LocalError`."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise LocalError(f"{address!r} is not host:port", "For example 127.0.0.1:9800.")
    return host, int(port)


def check_url(url: str) -> None:
    """Whether the chain may be asked there. Raises `LocalError`."""
    if not url.startswith(("http://", "https://")):
        raise LocalError(f"the chain at {url}: that is not a URL", "Set chain_url, for example http://127.0.0.1:8800.")


class _Registry:
    """What the line asks the chain, answered out of the hospital's verified reader."""

    def __init__(self, hospital: Hospital) -> None:
        self._hospital = hospital

    async def hospital(self, hospital: bytes) -> l1_state.Hospital | None:
        return await self._hospital.reader.hospital(hospital)

    async def newest_header(self) -> SignedHeader:
        newest = self._hospital.reader.newest_signed()
        if newest is None:
            raise LineClosed("the chain has no block yet")
        return newest

    async def check_header(self, header: SignedHeader) -> None:
        await self._hospital.reader.check_header(header)


class Lines:
    """All lines of one hospital."""

    def __init__(self, hospital: Hospital, credentials: Credentials, propose: Propose, serve_pulls: ServePulls) -> None:
        self._hospital = hospital
        self._propose, self._serve_pulls = propose, serve_pulls
        me = Identity(
            chain=hospital.reader.chain,
            hospital=hospital.id,
            signer=hospital.keys.channel(),
            key_number=CHANNEL_NUMBER,
            credentials=credentials,
        )
        known = {Role.CHANNEL: KNOWN, Role.RECORDS: bodies.MESSAGES}
        self._station = Station(me=me, registry=_Registry(hospital), known=known)

    async def serve(self, listeners: list[trio.SocketListener]) -> None:
        """Answer lines until cancelled."""
        await serve(self._station, listeners, self._answer, _report)

    async def _answer(self, line: Line) -> None:
        with self._hospital.counting(line):
            if line.role is Role.RECORDS:
                await self._serve_pulls(line.peer, line)
                return
            type_, payload = await line.receive()
            if type_ == Message.PROPOSE:
                await self._propose(line, payload)
                return
            require(type_ == Message.ATTACH, Fault.UNEXPECTED, f"message type {type_} where ATTACH was due")
            keeper = self._hospital.keepers.get(decode_attach(payload).channel)
            known = keeper is not None and self._hospital.peer_of(keeper) == line.peer
            require(known, Fault.UNKNOWN_CHANNEL, "we keep no such channel with you")
            assert keeper is not None
            await keeper.serve(line)

    async def dial(self, peer: bytes, role: Role) -> Line:
        """A line to a hospital. Raises `LineClosed`, `Refused`."""
        found = await self._hospital.reader.hospital(peer)
        if found is None:
            raise Refused(Fault.UNKNOWN_HOSPITAL, f"the chain knows no hospital {peer[:4].hex()}…")
        host, port = split_address(found.endpoint)
        return await connect(self._station, host, port, peer=peer, role=role)

    async def keep_dialled(self, keeper: Keeper) -> None:
        """Keep a line to the peer of a channel that we opened, until the channel is settled."""
        peer, pauses = self._hospital.peer_of(keeper), Backoff(PAUSE_S_MIN, PAUSE_S_MAX)
        while keeper.channel.phase is not Phase.SETTLED:
            try:
                line = await self.dial(peer, Role.CHANNEL)
            except (LineClosed, Refused, LocalError) as why:
                log.debug("no line", channel=keeper.name, why=str(why))
            else:
                if await self._run_line(keeper, line):
                    pauses.reset()
            await pauses.wait()

    async def _run_line(self, keeper: Keeper, line: Line) -> bool:
        """Serve the channel over the line until it ends; whether the peer knew the channel."""
        try:
            with self._hospital.counting(line):
                await line.send(Message.ATTACH, encode(Attach(channel=keeper.channel.id)))
                await keeper.serve(line)
        except Refused as refused:
            log.warning("line refused", channel=keeper.name, why=str(refused))
            await line.refuse(refused)
        except LineClosed as closed:
            log.info("line ended", channel=keeper.name, why=closed.reason)
            if closed.fault == Fault.UNKNOWN_CHANNEL:
                return False  # the peer has not yet seen the block that opened it
        finally:
            await line.aclose()
        return True

    async def cut_revoked(self, clock_ms: int) -> None:
        """End the lines whose keys count no longer."""
        for line in list(self._hospital.lines):
            registered = self._hospital.registry.get(line.peer)
            if registered is None:
                continue
            try:
                line.check_still_counts(registered, clock_ms)
            except Refused as refused:
                log.warning("line cut", who=line.peer[:4].hex(), why=str(refused))
                await line.refuse(refused)


def _report(who: str, why: Exception) -> None:
    log.info("line refused", who=who[:16], why=str(why))
