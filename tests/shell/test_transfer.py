"""Bodies over a records line: whole, cut and resumed, denied, dishonest, and everything in the shared data set."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import shake_128
from pathlib import Path

import pytest
import trio

from l1.ground.codec import encode
from l1.ground.faults import Fault, Refused
from l2.link import Line, LineClosed, Outbound, Role, Station
from l2.node.bodies import MESSAGES, Bodies, Download, GrantBody, Offered, Wrapper, pull, serve_pulls
from l2.node.bodies import wire as messages
from l2.node.bodies.recall import Erased, ask_erasure
from l2.records import release_secret, unpack_gzip
from tests.shell.meeting import lines

CHAIN, CHANNEL, SEED = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32
DATA = Path(__file__).parents[3] / "shared" / "data"
LARGE = shake_128(b"an image").digest(3_000_000)

Message = tuple[int, bytes]


class MemoryLine:
    """One end of a line in memory. It breaks after so many messages were sent over it."""

    def __init__(
        self, outbox: trio.MemorySendChannel[Message], inbox: trio.MemoryReceiveChannel[Message], lasts: float
    ) -> None:
        self._outbox, self._inbox, self._lasts = outbox, inbox, lasts

    async def send_many(self, given: Iterable[Outbound]) -> None:
        for kind, payload in given:
            if self._lasts <= 0:
                self.cut()
                raise trio.BrokenResourceError
            self._lasts -= 1
            await self._outbox.send((kind, bytes(payload)))

    async def receive(self) -> Message:
        return await self._inbox.receive()

    def cut(self) -> None:
        self._outbox.close()


def line_pair(lasts: float = math.inf) -> tuple[MemoryLine, MemoryLine]:
    """A recipient's end, and a custodian's that breaks after `lasts` messages."""
    up_in, up_out = trio.open_memory_channel[Message](64)
    down_in, down_out = trio.open_memory_channel[Message](64)
    return MemoryLine(up_in, down_out, math.inf), MemoryLine(down_in, up_out, lasts)


ENDS = (trio.EndOfChannel, trio.BrokenResourceError, trio.ClosedResourceError)


class Custodian:
    """What a node's library does: from grant to body, if the peer may have it now."""

    def __init__(self, bodies: Bodies) -> None:
        self.bodies = bodies
        self.grants: dict[int, GrantBody] = {}
        self.sent = 0
        self.crowds = trio.CapacityLimiter(1)

    def grant(self, content: bytes) -> tuple[int, GrantBody]:
        index = len(self.grants)
        record, _ = self.bodies.records.add(content, now_ms=1)
        body = self.bodies.outgoing.prepare(record, chain=CHAIN, channel=CHANNEL, seed=SEED)
        self.grants[index] = body
        return index, body

    def release(self, index: int) -> bytes:
        return release_secret(SEED, CHAIN, CHANNEL, self.grants[index].key)

    async def find(self, channel: bytes, grant: int) -> Offered:
        body = self.grants.get(grant) if channel == CHANNEL else None
        secret = self.release(grant) if body else b""
        offered = self.bodies.outgoing.find(CHAIN, CHANNEL, body.lock, secret) if body else None
        if offered is None:
            raise Refused(Fault.NOT_GRANTED, "no such grant is in force")
        return offered

    def find_short(
        self, channel: bytes, grants: Sequence[int]
    ) -> Callable[[], Iterator[tuple[int, Offered | Refused]]]:
        def found() -> Iterator[tuple[int, Offered | Refused]]:
            for grant in grants:
                body = self.grants.get(grant) if channel == CHANNEL else None
                if body is None:
                    yield grant, Refused(Fault.NOT_GRANTED, "no such grant is in force")
                    continue
                offered = self.bodies.outgoing.find(CHAIN, CHANNEL, body.lock, self.release(grant))
                assert offered is not None
                yield grant, offered

        return found

    def wrapper(self, peer: bytes) -> Wrapper:
        return self.bodies.outgoing.wrapper(peer)

    async def erase(self, channel: bytes, grant: int) -> Erased:
        raise Refused(Fault.NOT_GRANTED, f"nothing came by grant {grant} of {channel[:4].hex()}")

    async def room(self, size: int) -> None:
        self.sent += size
        await trio.lowlevel.checkpoint()


@pytest.fixture
def custodian(tmp_path: Path) -> Iterator[Custodian]:
    with Bodies(tmp_path / "custodian", bytes(32)) as bodies:
        yield Custodian(bodies)


@pytest.fixture
def recipient(tmp_path: Path) -> Iterator[Bodies]:
    with Bodies(tmp_path / "recipient", bytes(32)) as bodies:
        yield bodies


async def serve(line: MemoryLine, custodian: Custodian) -> None:
    try:
        await serve_pulls(line, custodian)
    except ENDS:
        line.cut()


async def pull_once(custodian: Custodian, download: Download, lasts: float = math.inf) -> list[int]:
    """One line from connect to end; the bytes that each group brought."""
    groups: list[int] = []
    mine, theirs = line_pair(lasts)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, theirs, custodian)
            try:
                await pull(mine, download, groups.append)
            finally:
                mine.cut()
    return groups


def open_released(recipient: Bodies, custodian: Custodian, index: int) -> bytes:
    record = recipient.keep_received(CHANNEL, index, secret=custodian.release(index), custodian=bytes(32), now_ms=1)
    return recipient.records.open(record.id)


async def test_a_body_arrives_whole(custodian: Custodian, recipient: Bodies) -> None:
    index, body = custodian.grant(LARGE)
    download = recipient.incoming.begin(CHAIN, CHANNEL, index, body)
    assert sum(await pull_once(custodian, download)) == body.cipher_size
    assert download.is_complete
    assert await pull_once(custodian, download) == []
    assert open_released(recipient, custodian, index) == LARGE


async def test_several_pulls_on_one_line(custodian: Custodian, recipient: Bodies) -> None:
    contents = [b"a", b"", LARGE[:70_000]]
    grants = [custodian.grant(content) for content in contents]
    mine, theirs = line_pair()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, theirs, custodian)
            for index, body in grants:
                await pull(mine, recipient.incoming.begin(CHAIN, CHANNEL, index, body))
            mine.cut()
    assert [open_released(recipient, custodian, index) for index, _ in grants] == contents


@pytest.mark.parametrize("lasts", range(6))
async def test_a_cut_anywhere_is_resumed_where_it_stopped(custodian: Custodian, recipient: Bodies, lasts: int) -> None:
    index, body = custodian.grant(LARGE)
    with pytest.RaisesGroup(*ENDS[:1], allow_unwrapped=True, flatten_subgroups=True):
        await pull_once(custodian, recipient.incoming.begin(CHAIN, CHANNEL, index, body), lasts)
    again = recipient.incoming.begin(CHAIN, CHANNEL, index, body)  # as after a crash: only what is on disk is known
    assert not again.is_complete
    left = body.cipher_size - again.bytes_here
    assert sum(await pull_once(custodian, again)) == left
    assert left < body.cipher_size or lasts < 3
    assert open_released(recipient, custodian, index) == LARGE


async def test_a_line_that_breaks_ever_again_still_gets_there(custodian: Custodian, recipient: Bodies) -> None:
    index, body = custodian.grant(LARGE)
    for _ in range(20):
        download = recipient.incoming.begin(CHAIN, CHANNEL, index, body)
        try:
            await pull_once(custodian, download, lasts=3)
            break
        except* ENDS:
            pass
    assert download.is_complete
    assert open_released(recipient, custodian, index) == LARGE


async def test_what_is_not_granted_is_denied_and_the_line_goes_on(custodian: Custodian, recipient: Bodies) -> None:
    index, body = custodian.grant(b"x")
    mine, theirs = line_pair()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, theirs, custodian)
            with pytest.raises(Refused, match="denies: no such grant") as caught:
                await pull(mine, recipient.incoming.begin(CHAIN, CHANNEL, 99, body))
            assert caught.value.fault is Fault.NOT_GRANTED
            await pull(mine, recipient.incoming.begin(CHAIN, CHANNEL, index, body))
            mine.cut()
    assert open_released(recipient, custodian, index) == b"x"


async def test_a_pull_for_another_body_than_granted_is_refused(custodian: Custodian, recipient: Bodies) -> None:
    index, _ = custodian.grant(LARGE)
    _, other = custodian.grant(LARGE[::-1])
    with pytest.RaisesGroup(pytest.RaisesExc(Refused, match="another root"), allow_unwrapped=True):
        await pull_once(custodian, recipient.incoming.begin(CHAIN, CHANNEL, index, other))


async def test_what_was_never_granted_is_not_erased_and_the_line_goes_on(custodian: Custodian) -> None:
    mine, theirs = line_pair()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, theirs, custodian)
            for _ in range(2):
                with pytest.raises(Refused, match="does not erase it: nothing came") as caught:
                    await ask_erasure(mine, CHANNEL, 3)
                assert caught.value.fault is Fault.NOT_GRANTED
            mine.cut()


async def answer(line: MemoryLine, spoken: list[Message]) -> None:
    await line.receive()
    await line.send_many(spoken)


@pytest.mark.parametrize(
    ("spoken", "fault"),
    [
        ([(messages.CHUNKS, b"")], Fault.UNEXPECTED),
        ([(messages.HASHES, b"\xc1")], Fault.MALFORMED),
        ([(messages.HASHES, b"\x91\xc4\x00")], Fault.UNEXPECTED),
        ([(messages.HASHES, b"\x91\xc4\x20" + bytes(32))], Fault.BAD_PROOF),
        ([(messages.DENIED, b"\x92\x05\xa2no")], Fault.BAD_KEY),
        ([(messages.DENIED, b"\x92\x63\xa2no")], Fault.NOT_GRANTED),
        ([(messages.DENIED, b"\x92\x63")], Fault.MALFORMED),
    ],
)
async def test_a_dishonest_custodian_is_refused(
    custodian: Custodian, recipient: Bodies, spoken: list[Message], fault: Fault
) -> None:
    _, body = custodian.grant(b"x")
    mine, theirs = line_pair()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer, theirs, spoken)
            with pytest.raises(Refused) as caught:
                await pull(mine, recipient.incoming.begin(CHAIN, CHANNEL, 0, body))
    assert caught.value.fault is fault


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ((messages.CHUNKS, b""), Fault.UNEXPECTED),
        ((messages.PULL, b"\x90"), Fault.MALFORMED),
        ((messages.PULL, bytes(70_000)), Fault.TOO_LARGE),
    ],
)
async def test_a_dishonest_recipient_is_refused(custodian: Custodian, asked: Message, fault: Fault) -> None:
    mine, theirs = line_pair()
    await mine.send_many([asked])
    with pytest.raises(Refused) as caught:
        await serve_pulls(theirs, custodian)
    assert caught.value.fault is fault


@pytest.mark.parametrize("ranges", [((0, 9),), ((1, 1),), ((0, 1), (0, 1)), ((1, 2), (0, 1))])
async def test_chunks_that_are_not_there_are_denied(custodian: Custodian, ranges: tuple[tuple[int, int], ...]) -> None:
    index, body = custodian.grant(LARGE[:100_000])
    del body
    mine, theirs = line_pair()
    asked = messages.Pull(channel=CHANNEL, grant=index, one_time=None, ranges=ranges)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, theirs, custodian)
            await mine.send_many([(messages.PULL, encode(asked))])
            kind, payload = await mine.receive()
            mine.cut()
    assert kind == messages.DENIED
    assert messages.decode_denied(payload).fault == Fault.NO_SUCH_CHUNK


async def test_a_one_time_key_of_small_order_is_refused(custodian: Custodian) -> None:
    index, _ = custodian.grant(b"x")
    mine, theirs = line_pair()
    asked = messages.Pull(channel=CHANNEL, grant=index, one_time=bytes(32), ranges=())
    await mine.send_many([(messages.PULL, encode(asked))])
    with pytest.raises(Refused) as caught:
        await serve_pulls(theirs, custodian)
    assert caught.value.fault is Fault.BAD_KEY


async def test_a_body_arrives_over_a_real_line(
    alice: Station, bob: Station, custodian: Custodian, recipient: Bodies
) -> None:
    index, body = custodian.grant(LARGE)
    download = recipient.incoming.begin(CHAIN, CHANNEL, index, body)
    speak = {Role.CHANNEL: MESSAGES}

    async def serve_line(line: Line) -> None:
        with pytest.raises(LineClosed):
            await serve_pulls(line, custodian)

    pair = lines(replace(alice, known=speak), replace(bob, known=speak))
    with trio.fail_after(60):
        async with pair as (ours, theirs), trio.open_nursery() as nursery:
            nursery.start_soon(serve_line, theirs)
            await pull(ours, download)
            await ours.aclose()
    assert open_released(recipient, custodian, index) == LARGE


SHARED = sorted(path for path in DATA.glob("**/*") if path.is_file() and path.parent != DATA)


@pytest.mark.skipif(not SHARED, reason="the shared data set is not here")
@pytest.mark.parametrize("part", range(6))
async def test_every_shared_file_arrives_identical(custodian: Custodian, recipient: Bodies, part: int) -> None:
    """Add, prepare, pull, verify, decrypt, store, open: every byte of it."""
    mine, theirs = line_pair()
    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, theirs, custodian)
            for path in SHARED[part::8]:
                content = unpack_gzip(path.read_bytes())
                own, _ = custodian.bodies.records.add(content, name=path.name, now_ms=1)
                assert custodian.bodies.records.open(own.id) == content
                index, body = custodian.grant(content)
                await pull(mine, recipient.incoming.begin(CHAIN, CHANNEL, index, body))
                assert open_released(recipient, custodian, index) == content, path.name
            mine.cut()
    assert recipient.records.count() == len(SHARED[part::8])
