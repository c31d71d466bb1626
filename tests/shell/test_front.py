"""The front of a hub: connections reach the worker of their slot, whole; who says nothing, or too many, reach none."""

import random
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from l1.ground.faults import LocalError
from l2.link import Limits, name_of_slot
from l2.node.hub.door import PEEK_S, FrontDoor
from l2.node.hub.handing import Handed, Handing, pair_of_ends

FEW = Limits(unproved_max=4, unproved_per_address_max=4)


def hello(slot: int | None) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    name = None if slot is None else name_of_slot(slot)
    session = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


class Hub:
    """A front door on loopback, and the workers' ends of two workers."""

    def __init__(self, limits: Limits) -> None:
        pairs = [pair_of_ends() for _ in range(2)]
        self.hands = {number: Handing(ours) for number, (ours, _) in enumerate(pairs)}
        self.workers = [Handed(theirs) for _, theirs in pairs]
        self.door = FrontDoor(self.hands, 2, limits)
        self.port = 0

    async def connect(self, data: bytes = b"") -> trio.SocketStream:
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        if data:
            await stream.send_all(data)
        return stream

    async def accepted(self, number: int) -> trio.SocketStream:
        with trio.fail_after(30):
            return await self.workers[number].accept()

    async def unsettled(self, count: int) -> None:
        with trio.fail_after(60):
            while self.door.unsettled != count:  # noqa: ASYNC110 - what is looked at is a number
                await trio.sleep(0.01)


@asynccontextmanager
async def open_hub(limits: Limits = FEW) -> AsyncIterator[Hub]:
    hub = Hub(limits)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        hub.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, hub.door.knock, listeners)
        for hand in hub.hands.values():
            nursery.start_soon(_take_tickets, hub.door, hand)
        yield hub
        nursery.cancel_scope.cancel()
    for hand in hub.hands.values():
        hand.close()
    for worker in hub.workers:
        await worker.aclose()


async def _take_tickets(door: FrontDoor, hand: Handing) -> None:
    while (ticket := await hand.returned()) is not None:
        door.settle(ticket)


@pytest.mark.parametrize(("slot", "number"), [(0, 0), (1, 1), (0xFE, 0), (0xFF, 1), (None, 0)])
async def test_a_connection_reaches_the_worker_of_its_slot_and_no_byte_is_missing(
    slot: int | None, number: int
) -> None:
    said = hello(slot)
    async with open_hub() as hub, await hub.connect(said) as client:
        stream = await hub.accepted(number)
        await client.send_all(b" and more")
        got = b""
        while len(got) < len(said) + 9:
            got += await stream.receive_some()
        assert got == said + b" and more"
        await stream.send_all(b"hello yourself")
        assert await client.receive_some() == b"hello yourself"
        assert stream.socket.getpeername() == client.socket.getsockname()
        hub.workers[number].settled(stream)
        await hub.unsettled(0)
        await stream.aclose()


async def test_a_hello_that_comes_byte_by_byte_is_waited_for(autojump_clock: MockClock) -> None:
    said = hello(0x7F)
    async with open_hub() as hub, await hub.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(said), 40):
            await client.send_all(said[at : at + 40])
            await trio.sleep(0.001)
        stream = await hub.accepted(1)
        assert await stream.receive_some() == said
        await stream.aclose()


async def test_who_says_nothing_is_let_go(autojump_clock: MockClock) -> None:
    async with open_hub() as hub:
        silent = await hub.connect()
        half = await hub.connect(hello(1)[:50])
        await hub.unsettled(2)
        began = trio.current_time()
        await hub.unsettled(0)
        assert trio.current_time() - began < 2 * PEEK_S
        for client in (silent, half):
            assert await _is_closed(client)
            await client.aclose()


async def _is_closed(client: trio.SocketStream) -> bool:
    try:
        return await client.receive_some() == b""
    except trio.BrokenResourceError:
        return True


async def test_places_are_few_until_a_worker_knows_who_it_is() -> None:
    async with open_hub() as hub:
        clients = [await hub.connect(hello(number)) for number in range(4)]
        streams = [await hub.accepted(number % 2) for number in range(4)]
        await hub.unsettled(4)
        async with await hub.connect(hello(0)) as too_many:
            assert await _is_closed(too_many)
        hub.workers[0].settled(streams[0])
        await hub.unsettled(3)
        clients.append(await hub.connect(hello(0)))
        streams.append(await hub.accepted(0))
        for stream in [*clients, *streams]:
            await stream.aclose()


async def test_a_worker_that_ends_gives_its_places_back_and_its_slots_are_refused() -> None:
    async with open_hub() as hub:
        clients = [await hub.connect(hello(1)) for _ in range(3)]
        streams = [await hub.accepted(1) for _ in range(3)]
        hub.hands.pop(1).close()
        hub.door.forget(1)
        assert hub.door.unsettled == 0
        async with await hub.connect(hello(1)) as refused:
            assert await _is_closed(refused)
        async with await hub.connect(hello(0)):
            await (await hub.accepted(0)).aclose()
        for stream in [*clients, *streams]:
            await stream.aclose()


async def test_a_worker_that_hangs_keeps_nobody_from_the_others(autojump_clock: MockClock) -> None:
    """It takes nothing and gives no ticket back; who dials it comes again and again, from one address."""
    async with open_hub() as hub:
        clients = [await hub.connect(hello(1)) for _ in range(4)]
        await hub.unsettled(4)
        began = trio.current_time()
        await hub.unsettled(0)
        assert trio.current_time() - began < 2 * FEW.handshake_s
        clients.append(await hub.connect(hello(0)))
        stream = await hub.accepted(0)
        late = await hub.accepted(1)  # it goes on at last
        hub.workers[1].settled(late)
        await hub.unsettled(1)
        for one in [*clients, stream, late]:
            await one.aclose()


async def test_what_a_worker_closes_is_closed() -> None:
    """The front keeps no descriptor of its own while it waits for the ticket."""
    async with open_hub() as hub, await hub.connect(hello(0)) as client:
        await (await hub.accepted(0)).aclose()
        with trio.fail_after(30):
            assert await _is_closed(client)
        assert hub.door.unsettled == 1


async def test_a_ticket_whose_front_has_gone_harms_nobody() -> None:
    """A handshake ends just then: the worker ends because its front is gone, and for no other reason."""
    ours, theirs = pair_of_ends()
    worker = Handed(theirs)
    left, right = socket.socketpair()
    async with trio.SocketStream(trio.socket.from_stdlib_socket(left)) as connection:
        left.setblocking(False)
        await Handing(ours).hand(7, connection)
    stream = await worker.accept()
    ours.close()
    worker.settled(stream)
    with pytest.raises(LocalError, match="the front of the hub has ended"):
        await worker.accept()
    await stream.aclose()
    await worker.aclose()
    right.close()


async def test_a_worker_without_its_front_ends() -> None:
    ours, theirs = pair_of_ends()
    ours.close()
    worker = Handed(theirs)
    with pytest.raises(LocalError, match="the front of the hub has ended"):
        await worker.accept()
    await worker.aclose()


async def test_whatever_is_said_first_the_door_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l2.node.hub.door.PEEK_S", 0.05)  # most say half a word and go
    chance, said = random.Random(1), hello(1)
    async with open_hub(Limits(unproved_max=200, unproved_per_address_max=200)) as hub:
        async with trio.open_nursery() as nursery:
            for number in range(2):
                nursery.start_soon(_keep_settling, hub.workers[number])
            for _ in range(100):
                data = bytearray(said)
                for _ in range(chance.randrange(1, 6)):
                    data[chance.randrange(len(data))] = chance.randrange(256)
                nursery.start_soon(partial(_say_and_go, hub, bytes(data[: chance.randrange(1, len(data) + 1)])))
            while len(nursery.child_tasks) > 2:  # noqa: ASYNC110 - until all have gone
                await trio.sleep(0.01)
            await hub.unsettled(0)
            nursery.cancel_scope.cancel()
        async with await hub.connect(said):
            await (await hub.accepted(1)).aclose()


async def _keep_settling(worker: Handed) -> None:
    while True:
        stream = await worker.accept()
        worker.settled(stream)
        await stream.aclose()


async def _say_and_go(hub: Hub, data: bytes) -> None:
    try:
        async with await hub.connect(data) as client:
            client.socket.shutdown(socket.SHUT_WR)
            await client.receive_some()
    except (trio.BrokenResourceError, OSError):
        pass
