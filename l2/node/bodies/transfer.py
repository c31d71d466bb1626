"""The recipient's end of a records line: a window of requests is kept under way, and every chunk verified as it comes.

Written against the two methods of a line that it needs, so it runs over memory in tests. Disk and hashing happen in
worker threads. How far ahead it asks follows from how long the first answer took: enough to keep the line full, and no
more, since what is under way when a process dies is sent again. docs/spec/records.md, rules PULL-*.
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

import trio

from l1.ground.codec import encode
from l1.ground.faults import Fault, Refused, require
from l2.node.bodies.incoming import Download, Pulled
from l2.node.bodies.serving import RecordsLine
from l2.node.bodies.together import run_together
from l2.node.bodies.wire import (
    CHUNKS,
    CHUNKS_HEAD_BYTES,
    CHUNKS_PER_MESSAGE,
    DENIED,
    GATHER,
    GATHERED,
    HASHES,
    PULL,
    WRAPPED,
    Gather,
    Pull,
    decode_chunks,
    decode_gathered,
    decode_hashes,
    decode_wrapped,
    denial_of,
    fault_of,
)
from l2.records.body import chunk_count
from l2.records.limits import SEALED_CHUNK_BYTES

__all__ = ["Gathering", "Turn", "begin_pull", "gather", "pull", "pull_turn"]

UNIT_CHUNKS = CHUNKS_PER_MESSAGE  # about a megabyte: one request, and one message
DEPTH_MIN, DEPTH_MAX = 2, 16  # requests under way on one line
QUEUE_MESSAGES = 1  # that have come and wait to be written; then the line is not read
TURN_CHUNKS, TURN_S = 240, 0.25  # 15 MiB, or a slow line's share of them: then whoever else waits for a line has it
SURE_CHUNKS = 128  # 8 MiB that came since a cut: one chunk more may be under way
SLOW_BYTES_S = 20_000_000  # a hospital's line: what it carries in a round trip may be under way always
RATE_BYTES_S = 400_000_000  # the fastest that a line is expected to be: with a round trip's time it gives the window


Unit = tuple[tuple[int, int], ...]
"""A request's worth of chunks, as ranges."""


class Turn:
    """What several lines share of one download: which chunks nobody has asked for yet, and how far ahead to ask.

    A download that was cut before may be cut again: it begins carefully (PULL-11), on one line; `sure` is set once it
    has come as far as any other begins.
    """

    def __init__(self, download: Download, progress: Callable[[int], None] = lambda _: None) -> None:
        self.download = download
        self._progress = progress
        self._free = deque(_ranges(sorted(download.missing)))
        self._depth = DEPTH_MIN
        self._slow = 1  # chunks ahead that a slow line needs, whatever happened before
        self._came = 0
        self.is_learned = False
        self.accepting = trio.Lock()
        self.sure = trio.Event()
        if len(download.missing) == chunk_count(download.body.cipher_size):
            self.sure.set()

    def take(self, room: int) -> Unit | None:
        """The next unit, of at most so many chunks; None when all is asked for."""
        unit: list[tuple[int, int]] = []
        while room and self._free:
            first, end = self._free.popleft()
            past = min(end, first + room)
            unit.append((first, past))
            room -= past - first
            if past < end:
                self._free.appendleft((past, end))
        if not self._free:
            self.sure.set()  # nothing is left to be careful about
        return tuple(unit) or None

    def give_back(self, units: Sequence[Unit]) -> None:
        """Asked for on a line that broke."""
        self._free.extendleft(reversed([one for unit in units for one in unit]))

    @property
    def is_exhausted(self) -> bool:
        return not self._free

    @property
    def window(self) -> int:
        """[PULL-10, 11] How many chunks one line may have under way."""
        full = self._depth * UNIT_CHUNKS
        return full if self.sure.is_set() else min(full, max(1, self._slow, self._came // SURE_CHUNKS))

    def learn(self, round_trip_s: float) -> None:
        """[PULL-10] The window is what a fast line carries in twice the time that an answer takes to come."""
        self.is_learned = True
        window = RATE_BYTES_S * round_trip_s * 2
        self._depth = min(DEPTH_MAX, max(DEPTH_MIN, round(window / (UNIT_CHUNKS * SEALED_CHUNK_BYTES))))
        self._slow = round(SLOW_BYTES_S * round_trip_s / SEALED_CHUNK_BYTES)

    def came(self, chunks: int, size: int) -> None:
        """They are verified and written."""
        self._came += chunks
        if self._came >= SURE_CHUNKS * UNIT_CHUNKS:
            self.sure.set()
        self._progress(size)


def _ranges(indices: Sequence[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for index in indices:
        if ranges and ranges[-1][1] == index:
            ranges[-1] = (ranges[-1][0], index + 1)
        else:
            ranges.append((index, index + 1))
    return ranges


async def begin_pull(line: RecordsLine, download: Download) -> float:
    """Chunk hashes and wrapped key, unless they are here; how long the first word took to come, in seconds.

    Raises like `pull`.
    """
    began = trio.current_time()
    if download.has_hashes and download.has_key:
        return 0.0
    request = Pull(channel=download.channel, grant=download.grant, one_time=download.one_time_public, ranges=())
    await line.send_many([(PULL, encode(request))])
    due = chunk_count(download.body.cipher_size) * 32
    pages: list[bytes] = []
    first_s = 0.0
    while sum(map(len, pages)) < due:
        page = decode_hashes(await _expect(line, HASHES)).hashes
        first_s = first_s or trio.current_time() - began
        require(page, Fault.UNEXPECTED, "a page without hashes")
        pages.append(page)
    await trio.to_thread.run_sync(download.accept_hashes, b"".join(pages))
    answer = decode_wrapped(await _expect(line, WRAPPED))
    await trio.to_thread.run_sync(download.accept_key, answer.one_time, answer.wrapped)
    return first_s


async def pull_turn(line: RecordsLine, turn: Turn, others_wait: Callable[[], bool] = lambda: False) -> None:
    """Fetch units of a download over one line until none is left, or the turn is over and others wait for the line.

    Raises `Refused` with the peer's fault when it denies, or with its own when what it sends does not verify; and
    whatever the line raises when it ends. What was verified stays; what was under way goes back.
    """
    lane = _Lane(line, turn, others_wait)
    try:
        await run_together(lane.receive, lane.keep)
    finally:
        turn.give_back(list(lane.under_way))


class _Lane:
    """One line's share of a download: what comes is verified and written while more is coming."""

    def __init__(self, line: RecordsLine, turn: Turn, others_wait: Callable[[], bool]) -> None:
        self._line, self._turn, self._others_wait = line, turn, others_wait
        self._came_in, self._came = trio.open_memory_channel[bytes](QUEUE_MESSAGES)
        self._asked, self._began_s = 0, trio.current_time()
        self.under_way: deque[Unit] = deque()  # asked for and not yet written, oldest first
        self._due = 0  # chunks asked for and not yet come
        self._arrived = 0  # chunks that came
        self._kept = 0  # chunks of the oldest unit that are written

    async def receive(self) -> None:
        """Keep the window full, and hand over what comes."""
        async with self._came_in:
            while True:
                await self._ask()
                if self._due <= 0:
                    return
                began = trio.current_time()
                payload = await _expect(self._line, CHUNKS)
                if not self._turn.is_learned:
                    self._turn.learn(trio.current_time() - began)
                self._due -= _chunks_in(payload)
                self._arrived += _chunks_in(payload)
                await self._came_in.send(payload)

    async def _ask(self) -> None:
        turn = self._turn
        fresh: list[Unit] = []
        while (room := self._room()) > 0 and (unit := turn.take(room)) is not None:
            fresh.append(unit)
            self._asked += _size(unit)
            self._due += _size(unit)
        if fresh:
            self.under_way.extend(fresh)
            download = turn.download
            await self._line.send_many([(PULL, encode(Pull(download.channel, download.grant, None, u))) for u in fresh])

    def _room(self) -> int:
        """How many chunks the next request may be for: half of the window, so that another one is on its way.

        [PULL-10] An answer is late on a long line, and on one that carries little; so no more is under way than what
        the line has shown to carry: what waits there is waited for by all who come after.
        """
        had_turn = self._asked >= TURN_CHUNKS or trio.current_time() >= self._began_s + TURN_S
        over = had_turn and self._others_wait()
        window = min(self._turn.window, DEPTH_MIN * UNIT_CHUNKS + self._arrived)
        return 0 if over or self._due >= window else min(max(1, window // 2), UNIT_CHUNKS)

    async def keep(self) -> None:
        """Verify and write, all that has come at once."""
        turn = self._turn
        async with self._came:
            async for first in self._came:
                payloads = [first]
                with suppress(trio.WouldBlock, trio.EndOfChannel):
                    while len(payloads) < QUEUE_MESSAGES:
                        payloads.append(self._came.receive_nowait())
                async with turn.accepting:
                    size = await trio.to_thread.run_sync(_take_group, turn.download, payloads)
                count = sum(map(_chunks_in, payloads))
                self._note(count)
                turn.came(count, size)

    def _note(self, count: int) -> None:
        self._kept += count
        while self.under_way and self._kept >= (size := _size(self.under_way[0])):
            self._kept -= size
            self.under_way.popleft()


def _size(unit: Unit) -> int:
    return sum(end - first for first, end in unit)


def _chunks_in(payload: bytes) -> int:
    """How many chunks a message holds, by its length: what it says is looked at when it is written."""
    return max(1, len(payload) // SEALED_CHUNK_BYTES + (len(payload) % SEALED_CHUNK_BYTES > CHUNKS_HEAD_BYTES))


def _take_group(download: Download, payloads: list[bytes]) -> int:
    size = 0
    for payload in payloads:
        chunks = decode_chunks(payload)
        download.accept_chunks(chunks.first, chunks.data)
        size += len(chunks.data)
    return size


async def pull(line: RecordsLine, download: Download, progress: Callable[[int], None] = lambda _: None) -> None:
    """Fetch what is missing of a download over one line and make it durable; afterwards its receipt may be written.

    `progress` is told the bytes of each group that was verified. Raises `Refused` with the peer's fault when it
    denies, or with its own when what it sends does not verify; and whatever the line raises when it ends. In every
    case what was verified stays, and the next pull goes on from there.
    """
    if download.is_complete:
        return
    round_trip_s = await begin_pull(line, download)
    turn = Turn(download, progress)
    if round_trip_s:
        turn.learn(round_trip_s)
    await pull_turn(line, turn)
    await trio.to_thread.run_sync(download.complete)


async def _expect(line: RecordsLine, kind: int) -> bytes:
    came, payload = await line.receive()
    if came == DENIED:
        raise denial_of(payload)
    require(came == kind, Fault.UNEXPECTED, f"message {came} where {kind} was due")
    return payload


class Gathering:
    """[PULL-9] What came of a request for short bodies: nothing of it is judged yet."""

    def __init__(self) -> None:
        self.peer_one_time = b""
        self.bodies: list[Pulled] = []
        self.unsent: dict[int, Refused] = {}


async def gather(line: RecordsLine, channel: bytes, grants: Sequence[int], one_time_public: bytes) -> Gathering:
    """Ask for short bodies, ascending by grant. Raises `Refused`, and whatever the line raises when it ends."""
    await line.send_many([(GATHER, encode(Gather(channel, one_time_public, tuple(grants))))])
    found = Gathering()
    last = False
    while not last:
        answer = decode_gathered(await _expect(line, GATHERED))
        require(found.peer_one_time in (b"", answer.one_time), Fault.UNEXPECTED, "two one-time keys in one answer")
        found.peer_one_time, last = answer.one_time, answer.last
        found.bodies += [Pulled(body.grant, body.chunk, body.wrapped) for body in answer.bodies]
        for unsent in answer.unsent:
            found.unsent[unsent.grant] = Refused(fault_of(unsent.fault), f"the custodian denies: {unsent.detail}")
        surplus = len(found.bodies) + len(found.unsent) > len(grants)
        require(not surplus, Fault.UNEXPECTED, "more bodies than were asked for")
        require(last or answer.bodies, Fault.UNEXPECTED, "a message without bodies")
    return found
