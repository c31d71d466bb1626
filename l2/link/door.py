"""Where lines begin: connect to a hospital, or listen for others; both ends prove who they are before a line exists.

Knows TLS, the hello and the registry's questions; does not know where the registry's answers come from, nor what runs
over a line. The order of the handshake is in docs/spec/line.md.
"""

import secrets
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import trio
from trio.abc import Listener, Stream

from l1.ground.codec import encode
from l1.ground.faults import Fault, LocalError, Refused, require
from l1.ground.limits import VERSION
from l1.ground.signing import Signer
from l1.rules.blocks import SignedHeader, decode_header
from l1.rules.state import Hospital
from l2.link.hello import (
    HELLO,
    PROOF,
    WELCOME,
    Handshake,
    Hello,
    Role,
    check_proof,
    check_registered,
    decode_hello,
    make_proof,
)
from l2.link.hints import name_of_slot
from l2.link.line import Limits, Line, LineClosed, Meter
from l2.link.secured import SecuredStream
from l2.link.tls import Credentials, fingerprint, shown_certificate

__all__ = ["Handler", "Identity", "Known", "Registry", "Report", "Station", "answer", "connect", "greet", "serve"]

SILENT_S = 15  # then TCP asks whether the peer is still there
DEAD_MS = 60_000  # without any answer for so long, the peer is gone

Known = Mapping[Role, Iterable[int]]
"""The message types that a line of each role understands (below 250)."""

AnyStream = TypeVar("AnyStream", bound=Stream)
Failure = TypeVar("Failure", bound=Exception)
Handler = Callable[[Line], Awaitable[None]]
Report = Callable[[str, Exception], None]
"""Told of each connection that came to nothing: the peer (hospital in hex, or network address), and why."""


class Registry(Protocol):
    """What the line asks the chain. Answers are verified ones; `LocalError` says that there is none now."""

    async def hospital(self, hospital: bytes) -> Hospital | None:
        """The hospital's entry as of now; None if L1 has no such hospital."""

    async def newest_header(self) -> SignedHeader:
        """The newest header that we verified."""

    async def check_header(self, header: SignedHeader) -> None:
        """Raise `Refused`: FORK if we know another one at its height, BAD_SIGNATURE if it is not the authority's."""


@dataclass(frozen=True)
class Identity:
    """Who we are on a line: chain, hospital id, the channel key that signs hellos with its number, and our TLS side."""

    chain: bytes
    hospital: bytes
    signer: Signer
    key_number: int
    credentials: Credentials

    @property
    def names(self) -> tuple[int, bytes]:
        """Which of our keys it is: the channel key's number, the certificate's fingerprint."""
        return self.key_number, self.credentials.certificate.fingerprint


@dataclass
class Station:
    """Our end of every line: who we are, whom we ask, which messages we understand, what a peer may cost us.

    `me` may be replaced while lines run: each handshake goes by what stands when it begins.
    """

    me: Identity
    registry: Registry
    known: Known
    limits: Limits = field(default_factory=Limits)


async def connect(station: Station, host: str, port: int, *, peer: bytes, role: Role, slot: int | None = None) -> Line:
    """A line to the hospital `peer`, for a channel of this slot. Raises `LineClosed` (unreachable, slow, refused
    there) or `Refused` (impostor)."""
    limits = station.limits
    try:
        with trio.fail_after(limits.handshake_s):
            stream = await trio.open_tcp_stream(host, port)
            _notice_death(stream)
            return await greet(station, stream, peer=peer, role=role, slot=slot)
    except trio.TooSlowError:
        raise LineClosed(f"{host}:{port} did not answer within {limits.handshake_s:g} s") from None
    except OSError as error:
        raise LineClosed(f"cannot reach {host}:{port} ({error})") from None


async def greet(station: Station, stream: Stream, *, peer: bytes, role: Role, slot: int | None = None) -> Line:
    """Make a line over a fresh stream as the one that connects. Closes the stream if it raises."""
    me, registry = station.me, station.registry
    name = None if slot is None else name_of_slot(slot)  # [LINE-15]
    tls = SecuredStream(stream, me.credentials.client, name=name)
    line = Line(tls, station.limits)
    async with _closing_on_failure(line):
        await _shake(tls)
        ours = encode(await _hello(me, peer, role, registry))
        await line.send(HELLO, ours)
        theirs = await _expect(line, HELLO)
        hello = decode_hello(theirs, chain=me.chain, me=me.hospital)
        require(hello.hospital == peer, Fault.UNKNOWN_PEER, "another hospital answers")
        require(hello.role == role, Fault.UNEXPECTED, "the peer speaks of another kind of line")
        key = await _admit(hello, registry)
        shown = fingerprint(hello.certificate)
        shown_certificate(tls.session.getpeercert(binary_form=True), shown)
        shake = Handshake(me.chain, (ours, theirs), (me.credentials.certificate.fingerprint, shown))
        check_proof(await _expect(line, PROOF), key, 1, shake)
        await line.send(PROOF, make_proof(me.signer, 0, shake))
        await _expect(line, WELCOME)
        line.introduce(hello, shown, station.known[role])
        line.ours = me.names
    return line


async def answer(station: Station, stream: Stream, meter_of: Callable[[bytes], Meter] | None = None) -> Line:
    """Make a line over a fresh stream as the one that listens. Closes the stream if it raises."""
    me, registry = station.me, station.registry
    tls = SecuredStream(stream, me.credentials.server, server_side=True)
    line = Line(tls, station.limits)
    async with _closing_on_failure(line):
        await _shake(tls)
        theirs = await _expect(line, HELLO)
        hello = decode_hello(theirs, chain=me.chain, me=me.hospital)
        require(hello.role in station.known, Fault.UNEXPECTED, "lines of that kind are not served here")
        key = await _admit(hello, registry)
        me.credentials.trust(hello.certificate)  # [LINE-9] only now, with the registry's word for it
        _ask_for_certificate(tls.session)
        ours = encode(await _hello(me, hello.hospital, Role(hello.role), registry))
        claimed = fingerprint(hello.certificate)
        shake = Handshake(me.chain, (theirs, ours), (claimed, me.credentials.certificate.fingerprint))
        proof = make_proof(me.signer, 1, shake)
        await line.send_many(((HELLO, ours), (PROOF, proof)))
        payload = await _expect(line, PROOF)
        shown_certificate(tls.session.getpeercert(binary_form=True), claimed)
        check_proof(payload, key, 0, shake)
        meter = meter_of(hello.hospital) if meter_of else None
        line.introduce(hello, claimed, station.known[Role(hello.role)], meter)
        line.ours = me.names
        await line.send(WELCOME, b"")
    return line


async def _shake(tls: SecuredStream) -> None:
    try:
        await tls.do_handshake()
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise LineClosed(f"no TLS 1.3 connection ({error.__cause__ or 'closed'})") from None


def _ask_for_certificate(session: ssl.SSLObject) -> None:
    """TLS 1.3 post-handshake authentication; the request goes out with the next bytes we send."""
    try:
        session.verify_client_post_handshake()
    except ssl.SSLError as error:
        raise Refused(Fault.UNKNOWN_PEER, f"the peer shows no certificate on TLS ({error.reason})") from None


async def _hello(me: Identity, peer: bytes, role: Role, registry: Registry) -> Hello:
    return Hello(
        version=VERSION,
        chain=me.chain,
        hospital=me.hospital,
        peer=peer,
        role=int(role),
        nonce=secrets.token_bytes(32),
        certificate=me.credentials.certificate.der,
        key=me.key_number,
        header=await registry.newest_header(),
    )


async def _admit(hello: Hello, registry: Registry) -> bytes:
    """The speaker's channel key, once registry and headers agree with the hello. It is still to be proved."""
    await registry.check_header(hello.header)  # [LINE-8]
    hospital = await registry.hospital(hello.hospital)
    clock_ms = decode_header((await registry.newest_header()).body).clock_ms
    return check_registered(hello, hospital, clock_ms)


async def _expect(line: Line, kind: int) -> bytes:
    came, payload = await line.receive()
    require(came == kind, Fault.UNEXPECTED, f"message type {came} where {kind} was due")
    return payload


@asynccontextmanager
async def _closing_on_failure(line: Line) -> AsyncIterator[None]:
    """What goes wrong before a line exists closes it; the peer is told why."""
    try:
        yield
    except Refused as refused:
        await line.refuse(refused)
        raise
    except BaseException:
        await line.aclose()
        raise


async def serve(
    station: Station,
    listeners: Sequence[Listener[AnyStream]],
    handler: Handler,
    report: Report = lambda _who, _why: None,
    settled: Callable[[Stream], None] = lambda _: None,
) -> None:
    """Answer whoever connects, until cancelled; `handler` gets each line, which is closed when it returns. `settled`
    hears of each stream once it is known who is at its other end, or that it came to nothing.

    A `Refused` that leaves the handler, alone or in a group, is told to the peer; `LineClosed` ends that line alone;
    anything else is our bug and ends the server.
    """
    await trio.serve_listeners(_Door(station, handler, report, settled).knock, list(listeners))


class _Door:
    """Counts who is knocking and who is in."""

    def __init__(self, station: Station, handler: Handler, report: Report, settled: Callable[[Stream], None]) -> None:
        self._station, self._handler, self._report, self._settled = station, handler, report, settled
        self._knocking: Counter[str] = Counter()
        self._lines: Counter[bytes] = Counter()
        self._meters: dict[bytes, Meter] = {}  # only for hospitals that proved themselves

    async def knock(self, stream: Stream) -> None:
        """One connection, from the first byte to the end of its line."""
        address = _address(stream)
        _notice_death(stream)
        try:
            line = await self._let_in(stream, address)
        except (Refused, LineClosed, LocalError) as why:
            self._report(address, why)
            return
        finally:
            self._settled(stream)
        self._lines[line.peer] += 1
        try:
            await self._handle(line)
        finally:
            self._lines[line.peer] -= 1
            await line.aclose()

    async def _handle(self, line: Line) -> None:
        """Run the handler. Refusals may come out of its nurseries, so in groups."""
        most = self._station.limits.lines_per_peer_max
        try:
            require(self._lines[line.peer] <= most, Fault.UNEXPECTED, f"more than {most} lines")
            await self._handler(line)
        except* LineClosed as closed:
            self._report(line.peer.hex(), _first(closed))
        except* Refused as refused:
            first = _first(refused)
            self._report(line.peer.hex(), first)
            await line.refuse(first)

    async def _let_in(self, stream: Stream, address: str) -> Line:
        limits = self._station.limits
        crowded = self._knocking.total() >= limits.unproved_max
        if crowded or self._knocking[address] >= limits.unproved_per_address_max:
            await trio.aclose_forcefully(stream)
            raise LineClosed("too many connections that have not said who they are")
        self._knocking[address] += 1
        try:
            with trio.fail_after(limits.handshake_s):
                return await answer(self._station, stream, self._meter)
        except trio.TooSlowError:
            raise LineClosed(f"no proof of who it is within {limits.handshake_s:g} s") from None
        finally:
            self._knocking[address] -= 1
            if not self._knocking[address]:
                del self._knocking[address]

    def _meter(self, hospital: bytes) -> Meter:
        return self._meters.setdefault(hospital, Meter(self._station.limits.bytes_per_day_max))


def _first(group: BaseExceptionGroup[Failure]) -> Failure:
    """One of the exceptions in a group, however deep."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _notice_death(stream: Stream) -> None:
    """A line may be silent for hours; TCP asks now and then whether the peer's machine is still there."""
    if isinstance(stream, trio.SocketStream):
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_KEEPALIVE, 1)
        stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_KEEPIDLE, SILENT_S)
        stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_KEEPINTVL, SILENT_S)
        stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_USER_TIMEOUT, DEAD_MS)


def _address(stream: Stream) -> str:
    if not isinstance(stream, trio.SocketStream):
        return "local"
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:
        return "gone"
