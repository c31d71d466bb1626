"""The custodian's end of a records line: pulls and gatherings are answered one after another, in order.

Written against the two methods of a line that it needs, so it runs over memory in tests. Sealing happens in worker
threads, a group of chunks at a time and one group ahead of the line, so that a large record never holds up a channel.
docs/spec/records.md, rules PULL-*.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Protocol

import trio

from l1.ground.codec import encode
from l1.ground.faults import Fault, Refused, require
from l2.node.bodies.outgoing import Offered, Wrapper
from l2.node.bodies.wire import (
    CHUNK,
    DENIED,
    GATHER,
    GATHERED,
    HASHES,
    HASHES_PER_MESSAGE,
    PULL,
    WRAPPED,
    Chunk,
    Denied,
    Gather,
    Gathered,
    Hashes,
    Short,
    Unsent,
    Wrapped,
    decode_gather,
    decode_pull,
)
from l2.records.body import chunk_count
from l2.records.limits import SEALED_CHUNK_BYTES

__all__ = ["Library", "RecordsLine", "serve_pulls"]

GROUP_CHUNKS = 8  # 512 KiB: one write on the line, one visit to a worker thread
GATHERED_BYTES = 512 * 1024  # of short bodies in one message


class RecordsLine(Protocol):
    """What a transfer needs of a line. Both raise when the line ends."""

    async def send_many(self, messages: Iterable[tuple[int, bytes]]) -> None: ...

    async def receive(self) -> tuple[int, bytes]: ...


class Library(Protocol):
    """Where the bodies come from that the peer at a line may have now."""

    async def find(self, channel: bytes, grant: int) -> Offered:
        """Raises `Refused` (NOT_GRANTED)."""

    def find_short(
        self, channel: bytes, grants: Sequence[int]
    ) -> Callable[[], Iterator[tuple[int, Offered | Refused]]]:
        """Many at once: called in the loop's thread, to be run in a worker's."""

    def wrapper(self, peer: bytes) -> Wrapper:
        """A fresh one-time key, agreed with the peer's."""

    def room(self, size: int) -> Awaitable[None]:
        """Wait until the peer's rate allows to send so many bytes."""


async def serve_pulls(line: RecordsLine, library: Library) -> None:
    """[PULL-2] Answer one pull after another until the line ends, which raises whatever the line raises.

    A pull that cannot be answered is denied with its fault, and the line goes on. Anything else on the line raises
    `Refused`, for the caller to close it with.
    """
    while True:
        kind, payload = await line.receive()
        if kind == GATHER:
            await _send_short(line, library, decode_gather(payload))
            continue
        require(kind == PULL, Fault.UNEXPECTED, f"message {kind} where a pull was due")
        wanted = decode_pull(payload)
        try:
            offered = await library.find(wanted.channel, wanted.grant)
            indices = _indices(wanted.ranges, chunk_count(offered.cipher_size))
            groups = [indices[start : start + GROUP_CHUNKS] for start in range(0, len(indices), GROUP_CHUNKS)]
            ready = await trio.to_thread.run_sync(_read_group, offered, groups[0]) if groups else []
        except Refused as refused:
            await line.send_many([(DENIED, encode(Denied(fault=refused.fault, detail=refused.detail[:500])))])
            continue
        if wanted.one_time is not None:
            await _send_key(line, library, offered, wanted.one_time)
        await _send_chunks(line, library, offered, groups, ready)


def _indices(ranges: tuple[tuple[int, int], ...], count: int) -> list[int]:
    """[PULL-1] The chunks asked for, each once. Raises `Refused` (NO_SUCH_CHUNK)."""
    past = 0
    for first, end in ranges:
        require(past <= first < end <= count, Fault.NO_SUCH_CHUNK, f"chunks {first} to {end} of {count}")
        past = end
    return [index for first, end in ranges for index in range(first, end)]


async def _send_key(line: RecordsLine, library: Library, offered: Offered, one_time: bytes) -> None:
    # [PULL-3] Hashes, then the key.
    page = HASHES_PER_MESSAGE * 32
    for start in range(0, len(offered.hashes), page):
        await line.send_many([(HASHES, encode(Hashes(hashes=offered.hashes[start : start + page])))])
    wrapper = library.wrapper(one_time)
    wrapped = Wrapped(one_time=wrapper.public, wrapped=offered.wrap_for(wrapper))
    await line.send_many([(WRAPPED, encode(wrapped))])


async def _send_chunks(
    line: RecordsLine, library: Library, offered: Offered, groups: list[list[int]], ready: list[tuple[int, bytes]]
) -> None:
    """Each group is sealed while the one before it is on its way."""
    for position in range(len(groups)):
        sending, ready = ready, []
        await library.room(sum(len(data) for _, data in sending))
        if position + 1 == len(groups):
            await line.send_many(sending)
            return
        ready = await _send_and_read(line, sending, offered, groups[position + 1])


async def _send_and_read(
    line: RecordsLine, sending: list[tuple[int, bytes]], offered: Offered, group: list[int]
) -> list[tuple[int, bytes]]:
    """Both at once; what either raises is raised as it is, not in a group."""
    failed: list[Exception] = []
    ready: list[tuple[int, bytes]] = []

    async def read() -> None:
        try:
            ready.extend(await trio.to_thread.run_sync(_read_group, offered, group))
        except Exception as error:  # the line's caller knows what to do about each
            failed.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        try:
            await line.send_many(sending)
        except Exception as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return ready


def _read_group(offered: Offered, group: list[int]) -> list[tuple[int, bytes]]:
    chunks = offered.read(group)
    return [(CHUNK, encode(Chunk(index=i, data=data))) for i, data in zip(group, chunks, strict=True)]


async def _send_short(line: RecordsLine, library: Library, wanted: Gather) -> None:
    """[PULL-9] Many short bodies in a few messages."""
    ascending = all(one < two for one, two in zip(wanted.grants, wanted.grants[1:], strict=False))
    require(ascending, Fault.UNEXPECTED, "grants that do not ascend")
    wrapper = library.wrapper(wanted.one_time)
    found = library.find_short(wanted.channel, wanted.grants)
    messages = await trio.to_thread.run_sync(_seal_short, found, wrapper)
    for message in messages:
        await library.room(len(message))
        await line.send_many([(GATHERED, message)])


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
            (chunk,) = offered.read((0,))
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
