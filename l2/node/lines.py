"""The hospital's secure lines: who dials, who answers, what runs over them.

The side that opened a channel dials, again and again with growing pauses; the other answers. Each channel has a line
of its own, so that one stuck channel never slows another; record bodies travel on lines of role RECORDS.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from weakref import WeakSet

import structlog
import trio
from trio.abc import Listener, Stream

from l1.ground.codec import encode
from l1.ground.faults import Fault, LocalError, Refused, require
from l1.reader.backoff import Backoff
from l1.rules import state as l1_state
from l1.rules.blocks import SignedHeader
from l1.rules.keys import counting_keys
from l1.rules.transactions import CHANNEL, TLS
from l1.serving.addresses import split_address
from l2.link import Certificate, Credentials, Identity, Line, LineClosed, Role, Station, connect, serve, slot_of
from l2.node import bodies
from l2.node.hospital import Hospital
from l2.node.keeper import Keeper
from l2.node.keys import FIRST_CHANNEL, certificate_of
from l2.protocol.messages import KNOWN, Attach, Message, decode_attach
from l2.protocol.phases import Phase

__all__ = ["Lines"]

PAUSE_S_MIN, PAUSE_S_MAX = 0.1, 5.0
SETTLE_S = 0.5  # after a change of keys: both processes have read the block, and use what it brought

Propose = Callable[[Line, bytes], Awaitable[None]]
ServePulls = Callable[[bytes, Line], Awaitable[None]]

log = structlog.get_logger()


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

    def __init__(self, hospital: Hospital, first: Certificate, propose: Propose, serve_pulls: ServePulls) -> None:
        """`first` is the certificate of the admission; later ones are in the keyring."""
        self._hospital, self._first = hospital, first
        self._propose, self._serve_pulls = propose, serve_pulls
        self._outdated = trio.Condition()
        self._dialled: WeakSet[Line] = WeakSet()  # for whatever; who dialled knows how long
        me = Identity(
            chain=hospital.reader.chain,
            hospital=hospital.id,
            signer=hospital.keys.first_channel(),
            key_number=FIRST_CHANNEL,
            credentials=Credentials(first),
        )
        known = {Role.CHANNEL: KNOWN, Role.RECORDS: bodies.MESSAGES}
        self._station = Station(me=me, registry=_Registry(hospital), known=known)

    # -- who we are

    @property
    def names(self) -> tuple[int, bytes]:
        """The keys that our lines are made with now: the channel key's number, the certificate's fingerprint."""
        return self._station.me.names

    def all_use(self, names: tuple[int, bytes]) -> bool:
        """Whether every live line was made with these keys of ours."""
        return all(line.ours == names for line in self._hospital.lines)

    def identify(self, me: l1_state.Hospital, clock_ms: int) -> None:
        """[LINE-13] Make lines with the newest keys that count and that we hold; those that there are go on."""
        now = self._station.me
        signing = self._hospital.keys.signer(CHANNEL, me, clock_ms)
        if signing is not None and signing[0] != now.key_number:
            now = replace(now, key_number=signing[0], signer=signing[1])
        certificate = self._newest_certificate(me, clock_ms)
        if certificate is not None and certificate.fingerprint != now.credentials.certificate.fingerprint:
            now = replace(now, credentials=Credentials(certificate))
        self._station.me = now

    def _newest_certificate(self, me: l1_state.Hospital, clock_ms: int) -> Certificate | None:
        counting = {key.key: key.number for key in counting_keys(me, TLS, clock_ms)}
        later = [key for key in self._hospital.keys.ring if key.kind == TLS and key.public in counting]
        if later:
            return certificate_of(max(later, key=lambda key: counting[key.public]))
        return self._first if self._first.fingerprint in counting else None

    def _is_outdated(self, line: Line) -> bool:
        """[LINE-13] Whether either side has newer keys than those that made the line."""
        peer, clock_ms = self._hospital.registry.get(line.peer), self._hospital.reader.tip.clock_ms
        if line.ours != self.names:
            return True
        if peer is None or line.hello is None:
            return False
        channel, tls = (counting_keys(peer, kind, clock_ms) for kind in (CHANNEL, TLS))
        return bool(channel and tls) and (line.hello.key, line.fingerprint) != (channel[-1].number, tls[-1].key)

    async def look_again(self) -> None:
        """Somebody's keys have changed: whoever keeps a line looks whether it is to be made anew."""
        async with self._outdated:
            self._outdated.notify_all()

    async def serve(
        self, listeners: Sequence[Listener[trio.SocketStream]], settled: Callable[[Stream], None] = lambda _: None
    ) -> None:
        """Answer lines until cancelled. `settled` hears of each stream that is known now, or came to nothing."""
        await serve(self._station, listeners, self._answer, _report, settled)

    async def keep_alive(self) -> None:
        """[LINE-14] Until cancelled: every line says now and then that we are there."""
        async with trio.open_nursery() as nursery:
            while True:
                await trio.sleep(self._station.limits.beat_s)
                for line in {*self._hospital.lines, *self._dialled}:
                    nursery.start_soon(_beat, line)

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

    async def dial(self, peer: bytes, role: Role, slot: int) -> Line:
        """A line to a hospital, for channels of this slot [LINE-15]. Raises `LineClosed`, `Refused`."""
        found = await self._hospital.reader.hospital(peer)
        if found is None:
            raise Refused(Fault.UNKNOWN_HOSPITAL, f"the chain knows no hospital {peer[:4].hex()}…")
        host, port = split_address(found.endpoint)
        line = await connect(self._station, host, port, peer=peer, role=role, slot=slot)
        self._dialled.add(line)
        return line

    async def keep_dialled(self, keeper: Keeper) -> None:
        """Keep a line to the peer of a channel that we opened, until the channel is settled."""
        pauses, fresh = Backoff(PAUSE_S_MIN, PAUSE_S_MAX), None
        async with trio.open_nursery() as closing:
            while keeper.channel.phase is not Phase.SETTLED:
                line = fresh or await self._try_dial(keeper)
                fresh = None
                if line is not None:
                    try:
                        known, fresh = await self._run_line(keeper, line)
                    finally:
                        closing.start_soon(line.aclose)  # politely, while the next one is at work already
                    if known:
                        pauses.reset()
                if fresh is None:
                    await pauses.wait()

    async def _try_dial(self, keeper: Keeper) -> Line | None:
        try:
            return await self.dial(self._hospital.peer_of(keeper), Role.CHANNEL, slot_of(keeper.channel.id))
        except (LineClosed, Refused, LocalError) as why:
            log.debug("no line", channel=keeper.name, why=str(why))
            return None

    async def _run_line(self, keeper: Keeper, line: Line) -> tuple[bool, Line | None]:
        """Serve the channel until the line ends: whether the peer knew the channel, and the line that replaces it."""
        fresh: list[Line] = []
        known = True
        try:
            with self._hospital.counting(line):
                await line.send(Message.ATTACH, encode(Attach(channel=keeper.channel.id)))
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._renew, keeper, line, fresh, nursery.cancel_scope)
                    await keeper.serve(line)
                    nursery.cancel_scope.cancel()
        except* Refused as group:
            refused = group.exceptions[0]
            assert isinstance(refused, Refused)
            log.warning("line refused", channel=keeper.name, why=str(refused))
            await line.refuse(refused)
        except* LineClosed as group:
            closed = group.exceptions[0]
            assert isinstance(closed, LineClosed)
            log.info("line ended", channel=keeper.name, why=closed.reason)
            # A peer that does not know it has not yet seen the block that opened it.
            known = closed.fault != Fault.UNKNOWN_CHANNEL
        return known, fresh[0] if fresh else None

    async def _renew(self, keeper: Keeper, line: Line, fresh: list[Line], scope: trio.CancelScope) -> None:
        """[LINE-13] Once the line is outdated, make the next one, and only then let it go."""
        while not fresh:
            async with self._outdated:
                while not self._is_outdated(line):
                    await self._outdated.wait()
            await trio.sleep(SETTLE_S)
            fresh += [made] if (made := await self._try_dial(keeper)) is not None else []
        log.info("line made anew", channel=keeper.name)
        scope.cancel()

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


async def _beat(line: Line) -> None:
    with suppress(LineClosed):  # whoever receives from it notices
        await line.beat()


def _report(who: str, why: Exception) -> None:
    log.info("line refused", who=who[:16], why=str(why))
