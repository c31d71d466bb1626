"""Messages on a line between two hospitals that know each other, over streams in memory."""

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from l1.ground.faults import Fault, Refused
from l2.link import Limits, Line, LineClosed, Role, Station
from l2.link.frames import HEADER_BYTES
from l2.link.hello import Hello
from tests.shell.meeting import BATCH, CHAIN, NOTE, NOW_MS, World, lines, signed_header


async def test_both_ends_know_who_is_there(alice: Station, bob: Station) -> None:
    async with lines(alice, bob) as (ours, theirs):
        assert (ours.peer, theirs.peer) == (bob.me.hospital, alice.me.hospital)
        assert ours.role is theirs.role is Role.CHANNEL
        assert ours.fingerprint == bob.me.credentials.certificate.fingerprint
        assert theirs.fingerprint == alice.me.credentials.certificate.fingerprint
        assert theirs.hello is not None
        assert theirs.hello.key == 1


async def test_messages_arrive_in_order_both_ways(alice: Station, bob: Station) -> None:
    async with lines(alice, bob) as (ours, theirs), trio.open_nursery() as nursery:
        nursery.start_soon(ours.send_many, [(BATCH, b"one"), (NOTE, b""), (BATCH, b"x" * 100_000)])
        nursery.start_soon(theirs.send, NOTE, b"back")
        assert [await theirs.receive() for _ in range(3)] == [(BATCH, b"one"), (NOTE, b""), (BATCH, b"x" * 100_000)]
        assert await ours.receive_many() == [(NOTE, b"back")]


async def test_a_refusal_reaches_the_peer_after_what_was_said_before(alice: Station, bob: Station) -> None:
    async with lines(alice, bob) as (ours, theirs):
        await ours.send(BATCH, b"good")
        await ours.refuse(Refused(Fault.EQUIVOCATION, "two heads at size 5"))
        assert await theirs.receive() == (BATCH, b"good")
        with pytest.raises(LineClosed, match="two heads") as closed:
            await theirs.receive()
        assert closed.value.fault == Fault.EQUIVOCATION


async def test_the_end_of_the_stream_is_the_end_of_the_line(alice: Station, bob: Station) -> None:
    async with lines(alice, bob) as (ours, theirs):
        await ours.aclose()
        with pytest.raises(LineClosed):
            await theirs.receive()
        with pytest.raises(LineClosed):
            await ours.send(BATCH, b"")


async def test_who_hears_nothing_at_all_ends_the_line(alice: Station, bob: Station, autojump_clock: MockClock) -> None:
    """The stream stands, and swallows what the peer says: only time tells."""
    async with lines(alice, bob) as (ours, _):
        began = trio.current_time()
        with pytest.raises(LineClosed, match="said nothing for 60 s"):
            await ours.receive()
        assert trio.current_time() - began == Limits().silent_s


async def test_a_line_on_which_nobody_has_anything_to_say_stands(
    alice: Station, bob: Station, autojump_clock: MockClock
) -> None:
    async with lines(alice, bob) as (ours, theirs), trio.open_nursery() as nursery:
        for line in (ours, theirs):
            nursery.start_soon(beat, line)
            nursery.start_soon(line.receive)
        await trio.sleep(3_600)
        nursery.cancel_scope.cancel()
    assert max(ours.bytes_out, theirs.bytes_out) < 4_000


async def beat(line: Line) -> None:
    while True:
        await trio.sleep(Limits().beat_s)
        await line.beat()


async def test_nothing_is_said_for_its_own_sake_on_a_busy_line(
    alice: Station, bob: Station, autojump_clock: MockClock
) -> None:
    async with lines(alice, bob) as (ours, theirs):
        await ours.send(BATCH, b"one")
        before = ours.bytes_out
        await ours.beat()
        assert ours.bytes_out == before
        await ours.beat()
        assert ours.bytes_out == before + HEADER_BYTES
        await ours.send(BATCH, b"two")
        assert [await theirs.receive() for _ in "ab"] == [(BATCH, b"one"), (BATCH, b"two")]


async def test_live_lines_are_cut_when_a_key_is_revoked(world: World, alice: Station, bob: Station) -> None:
    async with lines(alice, bob) as (_, theirs):
        theirs.check_still_counts(world.hospitals[alice.me.hospital], NOW_MS)
        world.change_key(alice.me.hospital, 1, revoked_at_ms=5)
        with pytest.raises(Refused, match="channel key 1"):
            theirs.check_still_counts(world.hospitals[alice.me.hospital], NOW_MS)


async def test_a_peer_has_a_daily_allowance(alice: Station, bob: Station) -> None:
    small = replace(bob, limits=Limits(bytes_per_day_max=10_000))
    async with lines(alice, small) as (ours, theirs), trio.open_nursery() as nursery:
        nursery.start_soon(ours.send, BATCH, b"x" * 20_000)
        with pytest.raises(Refused, match="in a day"):
            await theirs.receive()
        nursery.cancel_scope.cancel()


def test_a_hello_hides_what_it_carries(alice: Station) -> None:
    hello = Hello(
        version=1,
        chain=CHAIN,
        hospital=alice.me.hospital,
        peer=b"p" * 20,
        role=0,
        nonce=bytes(32),
        certificate=b"c" * 300,
        key=1,
        header=signed_header(),
    )
    assert "636363636363" not in repr(hello)
