"""Who gets a line and who does not: handshakes over streams in memory, and a listener on loopback."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.signing import PrivateKey
from l1.rules.state import Hospital
from l2.link import Credentials, Limits, Line, LineClosed, Role, Station, answer, connect, greet, serve
from l2.link.hello import HELLO
from tests.shell.meeting import (
    BATCH,
    KNOWN,
    NOTE,
    NOW_MS,
    Masked,
    Outcome,
    World,
    certificate_of,
    fault_of,
    meet,
    settle,
    signed_header,
    told_fault,
)


async def test_a_stranger_is_refused_and_told_why(world: World, alice: Station, bob: Station) -> None:
    del world.hospitals[alice.me.hospital]
    ours, theirs = await meet(alice, bob)
    assert fault_of(theirs) is Fault.UNKNOWN_PEER
    assert told_fault(ours) == Fault.UNKNOWN_PEER


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("change", [{"revoked_at_ms": 5}, {"valid_until_ms": NOW_MS}, {"valid_from_ms": NOW_MS + 1}])
async def test_a_key_that_does_not_count_is_refused(
    world: World, alice: Station, bob: Station, number: int, change: dict[str, int]
) -> None:
    world.change_key(alice.me.hospital, number, **change)
    _, theirs = await meet(alice, bob)
    assert fault_of(theirs) is Fault.UNKNOWN_PEER


@pytest.mark.parametrize("number", [1, 2])
async def test_the_one_that_listens_is_held_to_the_same(
    world: World, alice: Station, bob: Station, number: int
) -> None:
    world.change_key(bob.me.hospital, number, revoked_at_ms=5)
    ours, theirs = await meet(alice, bob)
    assert fault_of(ours) is Fault.UNKNOWN_PEER
    assert told_fault(theirs) == Fault.UNKNOWN_PEER


async def test_a_channel_key_alone_gets_nothing(alice: Station, bob: Station) -> None:
    """Mallory stole Alice's channel key, and shows Alice's certificate, but TLS proves his own."""
    theirs = certificate_of(b"M")
    mallory = replace(alice, me=replace(alice.me, credentials=Masked(theirs, alice.me.credentials.certificate)))
    ours, at_bob = await meet(mallory, bob)
    assert at_bob.error is not None
    assert "line" not in vars(at_bob)
    assert ours.error is not None


async def test_a_certificate_that_tls_trusts_is_not_yet_the_right_one(
    world: World, alice: Station, bob: Station
) -> None:
    """Carol is registered and trusted at Bob's TLS; with Alice's channel key and certificate she is not Alice."""
    carol = Station(world.admit(b"C"), world, KNOWN)
    bob.me.credentials.trust(carol.me.credentials.certificate.der)
    mask = Masked(carol.me.credentials.certificate, alice.me.credentials.certificate)
    _, at_bob = await meet(replace(alice, me=replace(alice.me, credentials=mask)), bob)
    assert fault_of(at_bob) is Fault.UNKNOWN_PEER
    assert "TLS shows another certificate" in str(at_bob.error)


async def test_a_tls_key_alone_gets_nothing(alice: Station, bob: Station) -> None:
    """Mallory stole Alice's TLS key; the hello is signed by another channel key."""
    mallory = replace(alice, me=replace(alice.me, signer=PrivateKey(b"M" * 32)))
    _, at_bob = await meet(mallory, bob)
    assert fault_of(at_bob) is Fault.BAD_SIGNATURE


async def test_an_impostor_that_listens_is_found_out(alice: Station, bob: Station) -> None:
    mallory = replace(bob, me=replace(bob.me, signer=PrivateKey(b"M" * 32)))
    ours, _ = await meet(alice, mallory)
    assert fault_of(ours) is Fault.BAD_SIGNATURE


async def test_a_listener_with_another_certificate_is_found_out(alice: Station, bob: Station) -> None:
    mask = Masked(certificate_of(b"M"), bob.me.credentials.certificate)
    ours, _ = await meet(alice, replace(bob, me=replace(bob.me, credentials=mask)))
    assert fault_of(ours) is Fault.UNKNOWN_PEER


async def test_another_registered_hospital_does_not_answer_for_bob(world: World, alice: Station, bob: Station) -> None:
    carol = Station(world.admit(b"C"), world, KNOWN)
    here, there = memory_stream_pair()
    ours, theirs = Outcome(), Outcome()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(settle, ours, partial(greet, alice, here, peer=bob.me.hospital, role=Role.CHANNEL))
        nursery.start_soon(settle, theirs, partial(answer, carol, there))
    assert fault_of(theirs) is Fault.UNKNOWN_PEER
    assert told_fault(ours) == Fault.UNKNOWN_PEER


async def test_another_chain_is_refused(alice: Station, bob: Station) -> None:
    stranger = replace(alice, me=replace(alice.me, chain=b"z" * 32))
    _, theirs = await meet(stranger, bob)
    assert fault_of(theirs) is Fault.WRONG_CHAIN


async def test_a_forked_chain_stops_both(alice: Station, bob: Station) -> None:
    other = World()
    other.hospitals = dict(bob.registry.hospitals) if isinstance(bob.registry, World) else {}
    other.header = signed_header(b"f" * 32)
    ours, theirs = await meet(replace(alice, registry=other), bob)
    assert fault_of(theirs) is Fault.FORK
    assert told_fault(ours) == Fault.FORK


async def test_plain_text_is_no_line(bob: Station) -> None:
    here, there = memory_stream_pair()
    theirs = Outcome()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(settle, theirs, partial(answer, bob, there))
        await here.send_all(b"GET / HTTP/1.1\r\n\r\n")
    assert isinstance(theirs.error, LineClosed)
    assert "no TLS 1.3" in theirs.error.reason


async def test_a_client_without_a_certificate_is_refused(alice: Station, bob: Station) -> None:
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
    mask = Masked(alice.me.credentials.certificate, alice.me.credentials.certificate)
    mask.client = bare
    _, theirs = await meet(replace(alice, me=replace(alice.me, credentials=mask)), bob)
    assert fault_of(theirs) is Fault.UNKNOWN_PEER


async def test_the_certificate_in_a_hello_must_be_registered_before_tls_trusts_it(alice: Station, bob: Station) -> None:
    mallory = replace(alice, me=replace(alice.me, credentials=Credentials(certificate_of(b"M"))))
    _, theirs = await meet(mallory, bob)
    assert fault_of(theirs) is Fault.UNKNOWN_PEER


async def test_nothing_but_a_hello_comes_first(alice: Station, bob: Station) -> None:
    here, there = memory_stream_pair()
    theirs = Outcome()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(settle, theirs, partial(answer, bob, there))
        tls = trio.SSLStream(here, alice.me.credentials.client)
        await tls.do_handshake()
        await tls.send_all((0).to_bytes(4, "big") + bytes([BATCH]) + bytes(4))
    assert fault_of(theirs) is Fault.UNKNOWN_MESSAGE


async def test_a_hello_larger_than_a_hello_is_refused(alice: Station, bob: Station) -> None:
    here, there = memory_stream_pair()
    theirs = Outcome()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(settle, theirs, partial(answer, bob, there))
        tls = trio.SSLStream(here, alice.me.credentials.client)
        await tls.do_handshake()
        await tls.send_all((9000).to_bytes(4, "big") + bytes([HELLO]) + bytes(4))
    assert fault_of(theirs) is Fault.TOO_LARGE


async def test_who_says_nothing_is_cut_off_at_the_deadline(alice: Station, autojump_clock: MockClock) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    with pytest.raises(LineClosed, match="did not answer within 10 s"):
        await connect(alice, "127.0.0.1", port, peer=b"p" * 20, role=Role.CHANNEL)
    await listeners[0].aclose()


async def test_nobody_there_says_so(alice: Station) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    with pytest.raises(LineClosed, match=f"cannot reach 127.0.0.1:{port}"):
        await connect(alice, "127.0.0.1", port, peer=b"p" * 20, role=Role.CHANNEL)


@asynccontextmanager
async def open_house(bob: Station, reports: list[Exception]) -> AsyncIterator[int]:
    """Bob listens on loopback and says everything back; the port."""

    async def echo(line: Line) -> None:
        while True:
            messages = await line.receive_many()
            if (NOTE, b"misbehave") in messages:
                raise Refused(Fault.UNEXPECTED, "that has no place here")
            await line.send_many(messages)

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(serve, bob, listeners, echo, report=lambda _, why: reports.append(why)))
        with trio.fail_after(60):
            yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def test_serve_survives_strangers_and_misbehaviour(alice: Station, bob: Station) -> None:
    reports: list[Exception] = []
    async with open_house(bob, reports) as port:
        stranger = await trio.open_tcp_stream("127.0.0.1", port)
        await stranger.send_all(b"nonsense" * 10)
        bad = await connect(alice, "127.0.0.1", port, peer=bob.me.hospital, role=Role.CHANNEL)
        good = await connect(alice, "127.0.0.1", port, peer=bob.me.hospital, role=Role.CHANNEL)
        await bad.send(NOTE, b"misbehave")
        with pytest.raises(LineClosed, match="no place"):
            await bad.receive()
        await good.send(BATCH, b"still here")
        assert await good.receive() == (BATCH, b"still here")
        await good.aclose()
        await bad.aclose()
        await stranger.aclose()
    assert any(isinstance(why, Refused) and why.fault is Fault.UNEXPECTED for why in reports)


async def test_those_who_prove_nothing_do_not_crowd_the_door(alice: Station, bob: Station) -> None:
    reports: list[Exception] = []
    tight = replace(bob, limits=Limits(unproved_per_address_max=2))
    async with open_house(tight, reports) as port:
        silent = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(2)]
        with pytest.raises(LineClosed):
            await connect(alice, "127.0.0.1", port, peer=bob.me.hospital, role=Role.CHANNEL)
        for stream in silent:
            await stream.aclose()
        while len(reports) < 3:
            await trio.lowlevel.checkpoint()
        line = await connect(alice, "127.0.0.1", port, peer=bob.me.hospital, role=Role.CHANNEL)
        await line.aclose()


async def test_one_hospital_has_so_many_lines(alice: Station, bob: Station) -> None:
    reports: list[Exception] = []
    async with open_house(replace(bob, limits=Limits(lines_per_peer_max=1)), reports) as port:
        first = await connect(alice, "127.0.0.1", port, peer=bob.me.hospital, role=Role.CHANNEL)
        second = await connect(alice, "127.0.0.1", port, peer=bob.me.hospital, role=Role.RECORDS)
        with pytest.raises(LineClosed, match="more than 1 lines"):
            await second.receive()
        await first.aclose()
        await second.aclose()


async def test_a_kind_of_line_that_is_not_served_is_refused(alice: Station, bob: Station) -> None:
    ours, theirs = await meet(alice, replace(bob, known={Role.CHANNEL: (BATCH,)}), role=Role.RECORDS)
    assert fault_of(theirs) is Fault.UNEXPECTED
    assert told_fault(ours) == Fault.UNEXPECTED


async def test_a_chain_that_does_not_answer_costs_only_that_line(world: World, alice: Station, bob: Station) -> None:
    class Deaf(World):
        async def hospital(self, hospital: bytes) -> Hospital | None:
            raise LocalError("the chain does not answer", "Start it")

    reports: list[Exception] = []
    async with open_house(replace(bob, registry=Deaf()), reports) as port:
        for _ in range(2):
            with pytest.raises(LineClosed):
                await connect(alice, "127.0.0.1", port, peer=bob.me.hospital, role=Role.CHANNEL)
    assert [type(why) for why in reports] == [LocalError, LocalError]


async def test_a_refusal_out_of_a_nursery_is_told_as_well(alice: Station, bob: Station) -> None:
    async def judge(line: Line) -> None:
        kind, _ = await line.receive()
        raise Refused(Fault.EQUIVOCATION, f"after message {kind}")

    async def handler(line: Line) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(judge, line)
            await trio.sleep_forever()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, bob, listeners, handler)
            line = await connect(alice, "127.0.0.1", port, peer=bob.me.hospital, role=Role.CHANNEL)
            await line.send(BATCH, b"")
            with pytest.raises(LineClosed, match="after message 16") as closed:
                await line.receive()
            assert closed.value.fault == Fault.EQUIVOCATION
            nursery.cancel_scope.cancel()
            await line.aclose()


async def test_who_listens_may_speak_at_once(alice: Station, bob: Station) -> None:
    """What comes in one piece with the welcome belongs to the line already."""
    here, there = memory_stream_pair()
    large = b"x" * 100_000

    async def listen() -> None:
        line = await answer(bob, there)
        await line.send_many([(BATCH, b"first"), (NOTE, large)])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        line = await greet(alice, Late(here), peer=bob.me.hospital, role=Role.CHANNEL)
        assert [await line.receive(), await line.receive()] == [(BATCH, b"first"), (NOTE, large)]


class Late(trio.abc.Stream):
    """A stream on which everything that was sent has arrived by the time anyone reads."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        await wait_all_tasks_blocked()
        return await self.stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self.stream.aclose()
