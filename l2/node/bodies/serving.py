"""The custodian's end of a records line: pulls and gatherings are answered one after another, in order.

Written against the two methods of a line that it needs, so it runs over memory in tests. Sealing happens in worker
threads, a group of chunks at a time and ahead of the line, so that a large record never holds up a channel.
docs/spec/records.md, rules PULL-*.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import trio

from l1.ground.codec import encode
from l1.ground.faults import Fault, Refused, require
from l2.link import Outbound
from l2.node.bodies.outgoing import Offered, Wrapper
from l2.node.bodies.recall import Erased, decode_erase
from l2.node.bodies.together import run_together
from l2.node.bodies.wire import (
    CHUNKS,
    CHUNKS_PER_MESSAGE,
    DENIED,
    ERASE,
    ERASED,
    GATHER,
    GATHERED,
    HASHES,
    HASHES_PER_MESSAGE,
    PULL,
    WRAPPED,
    Denied,
    Gather,
    Gathered,
    Hashes,
    Pull,
    Short,
    Unsent,
    Wrapped,
    chunks_message,
    decode_gather,
    decode_pull,
)
from l2.records.body import chunk_count
from l2.records.limits import SEALED_CHUNK_BYTES

__all__ = ["Library", "RecordsLine", "serve_pulls"]

GROUP_CHUNKS = 2 * CHUNKS_PER_MESSAGE  # 2 MiB: one write on the line, one visit to a worker thread
GROUPS_AHEAD = 1  # sealed, and waiting for the line
JOBS_MAX = 128  # pulls that wait; then whoever asks for more is not read
GATHERED_BYTES = 512 * 1024  # of short bodies in one message


class RecordsLine(Protocol):
    """What a transfer needs of a line. Both raise when the line ends."""

    async def send_many(self, messages: Iterable[Outbound]) -> None: ...

    async def receive(self) -> tuple[int, bytes]: ...


class Library(Protocol):
    """Where the bodies come from that the peer at a line may have now. `crowds` bounds the threads for short ones."""

    crowds: trio.CapacityLimiter

    async def find(self, channel: bytes, grant: int) -> Offered:
        """Raises `Refused` (NOT_GRANTED)."""

    def find_short(
        self, channel: bytes, grants: Sequence[int]
    ) -> Callable[[], Iterator[tuple[int, Offered | Refused]]]:
        """Many at once: called in the loop's thread, to be run in a worker's."""

    def wrapper(self, peer: bytes) -> Wrapper:
        """A fresh one-time key, agreed with the peer's."""

    async def erase(self, channel: bytes, grant: int) -> Erased:
        """Erase what the peer granted to us. Raises `Refused`: NOT_GRANTED, UNDER_HOLD under a legal hold."""

    def room(self, size: int) -> Awaitable[None]:
        """Wait until the peer's rate allows to send so many bytes."""


@dataclass(frozen=True)
class _Job:
    """Chunks of one body that were asked for, or messages that are ready (then `offered` is None)."""

    offered: Offered | None
    indices: list[int]
    messages: list[Outbound]


async def serve_pulls(line: RecordsLine, library: Library) -> None:
    """[PULL-2] Answer one pull after another until the line ends, which raises whatever the line raises.

    A pull that cannot be answered is denied with its fault, and the line goes on. Anything else on the line raises
    `Refused`, for the caller to close it with. While one group of chunks is on its way the next is sealed, and pulls
    that have come meanwhile are sealed together.
    """
    jobs_in, jobs = trio.open_memory_channel[_Job](JOBS_MAX)
    sealed_in, sealed = trio.open_memory_channel[list[Outbound]](GROUPS_AHEAD)

    async def receive() -> None:
        while True:
            kind, payload = await line.receive()
            if kind == GATHER:
                for message in await _gathered(library, decode_gather(payload)):
                    await jobs_in.send(_Job(None, [], [(GATHERED, message)]))
                continue
            if kind == ERASE:
                await jobs_in.send(_Job(None, [], [await _erased(library, payload)]))
                continue
            require(kind == PULL, Fault.UNEXPECTED, f"message {kind} where a pull was due")
            for job in await _jobs(library, decode_pull(payload)):
                await jobs_in.send(job)

    async def seal() -> None:
        groups = _Groups(jobs)
        while True:
            await sealed_in.send(await _seal(await groups.next()))

    async def send() -> None:
        async for messages in sealed:
            await library.room(sum(len(payload) for _, payload in messages))
            await line.send_many(messages)

    await run_together(receive, seal, send)


async def _erased(library: Library, payload: bytes) -> Outbound:
    """[ERASE-3] The peer asks for what it granted to be erased."""
    asked = decode_erase(payload)
    try:
        return ERASED, encode(await library.erase(asked.channel, asked.grant))
    except Refused as refused:
        return _denial(refused).messages[0]


async def _jobs(library: Library, wanted: Pull) -> list[_Job]:
    """What one pull asks to be sent: a denial; or chunk hashes and key, and then chunks."""
    try:
        offered = await library.find(wanted.channel, wanted.grant)
        indices = _indices(wanted.ranges, chunk_count(offered.cipher_size))
    except Refused as refused:
        return [_denial(refused)]
    ready = [] if wanted.one_time is None else _key_messages(library, offered, wanted.one_time)
    return [_Job(None, [], [message]) for message in ready] + ([_Job(offered, indices, [])] if indices else [])


def _denial(refused: Refused) -> _Job:
    return _Job(None, [], [(DENIED, encode(Denied(fault=refused.fault, detail=refused.detail[:500])))])


class _Groups:
    """Jobs in order, cut and joined to groups of a few chunks of one body."""

    def __init__(self, jobs: "trio.MemoryReceiveChannel[_Job]") -> None:
        self._jobs = jobs
        self._waiting: deque[_Job] = deque()

    async def next(self) -> _Job:
        waiting = self._waiting
        if not waiting:
            waiting.append(await self._jobs.receive())
        with suppress(trio.WouldBlock):
            while len(waiting) < JOBS_MAX:
                waiting.append(self._jobs.receive_nowait())
        first = waiting.popleft()
        indices = list(first.indices)
        while waiting and first.offered is not None and waiting[0].offered is first.offered:
            indices += waiting.popleft().indices
        if len(indices) > GROUP_CHUNKS:
            waiting.appendleft(_Job(first.offered, indices[GROUP_CHUNKS:], []))
        return _Job(first.offered, indices[:GROUP_CHUNKS], first.messages)


async def _seal(group: _Job) -> list[Outbound]:
    if group.offered is None:
        return group.messages
    try:
        return await trio.to_thread.run_sync(_read_group, group.offered, group.indices)
    except Refused as refused:
        return _denial(refused).messages


def _indices(ranges: tuple[tuple[int, int], ...], count: int) -> list[int]:
    """[PULL-1] The chunks asked for, each once. Raises `Refused` (NO_SUCH_CHUNK)."""
    past = 0
    for first, end in ranges:
        require(past <= first < end <= count, Fault.NO_SUCH_CHUNK, f"chunks {first} to {end} of {count}")
        past = end
    return [index for first, end in ranges for index in range(first, end)]


def _key_messages(library: Library, offered: Offered, one_time: bytes) -> list[Outbound]:
    # [PULL-3] Hashes, then the key.
    page = HASHES_PER_MESSAGE * 32
    pages = (offered.hashes[start : start + page] for start in range(0, len(offered.hashes), page))
    wrapper = library.wrapper(one_time)
    wrapped = Wrapped(one_time=wrapper.public, wrapped=offered.wrap_for(wrapper))
    return [*((HASHES, encode(Hashes(hashes=hashes))) for hashes in pages), (WRAPPED, encode(wrapped))]


def _read_group(offered: Offered, group: list[int]) -> list[Outbound]:
    return [(CHUNKS, _read_run(offered, first, end)) for first, end in _runs(group)]


def _read_run(offered: Offered, first: int, end: int) -> bytearray:
    message, at = chunks_message(first, offered.size_of(first, end))
    with memoryview(message) as whole, whole[at:] as into:
        offered.read_into(first, end, into)
    return message


def _runs(indices: list[int]) -> Iterator[tuple[int, int]]:
    """First and past-the-last of consecutive chunks, as many as a message takes."""
    first = 0
    for at in range(1, len(indices) + 1):
        if at == len(indices) or indices[at] != indices[at - 1] + 1 or at - first == CHUNKS_PER_MESSAGE:
            yield indices[first], indices[at - 1] + 1
            first = at


async def _gathered(library: Library, wanted: Gather) -> list[bytes]:
    """[PULL-9] Many short bodies in a few messages."""
    ascending = all(one < two for one, two in zip(wanted.grants, wanted.grants[1:], strict=False))
    require(ascending, Fault.UNEXPECTED, "grants that do not ascend")
    wrapper = library.wrapper(wanted.one_time)
    found = library.find_short(wanted.channel, wanted.grants)
    return await trio.to_thread.run_sync(_seal_short, found, wrapper, limiter=library.crowds)


def _seal_short(found: Callable[[], Iterator[tuple[int, Offered | Refused]]], wrapper: Wrapper) -> list[bytes]:
    """In a thread: the messages, each with as many bodies as fit."""
    pages: list[tuple[list[Short], list[Unsent]]] = [([], [])]
    size = 0
    for grant, offered in found():
        try:
            if isinstance(offered, Refused):
                raise offered
            fits = offered.cipher_size <= SEALED_CHUNK_BYTES
            require(fits, Fault.NO_SUCH_CHUNK, f"the body of grant {grant} is not short")
            chunk = offered.read(0, 1)
            short = Short(grant, chunk, offered.wrap_for(wrapper))
        except Refused as refused:
            pages[-1][1].append(Unsent(grant, refused.fault, refused.detail[:200]))
            continue
        if size + len(chunk) > GATHERED_BYTES and pages[-1][0]:
            pages.append(([], []))
            size = 0
        size += len(chunk)
        pages[-1][0].append(short)
    last = len(pages) - 1
    return [
        encode(Gathered(wrapper.public, tuple(bodies), tuple(unsent), i == last))
        for i, (bodies, unsent) in enumerate(pages)
    ]
