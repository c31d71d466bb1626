"""A record's body over a records line: one PULL, then hashes, chunks and the wrapped key come as they are asked for.

Written against the two methods of a line that it needs, so it runs over memory in tests. Flow control is the line's:
a recipient that reads slowly is sent slowly. Disk and hashing happen in worker threads, a group of chunks at a time,
so that a large record never holds up a channel. docs/spec/records.md, rules PULL-*.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Annotated, Protocol

import trio
from msgspec import Meta

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, Refused, require
from l1.ground.fields import ChannelId, Digest, Size
from l1.ground.limits import FRAME_BYTES_MAX
from l2.node.bodies.incoming import Download
from l2.node.bodies.outgoing import Spooled
from l2.records.body import chunk_count

__all__ = ["MESSAGES", "RecordsLine", "pull", "serve_pulls"]

PULL, HASHES, CHUNK, WRAPPED, DENIED = 32, 34, 36, 38, 40

MESSAGES = frozenset({PULL, HASHES, CHUNK, WRAPPED, DENIED})
"""Every type that a records line must understand."""

RANGES_MAX = 1_024  # gaps named in one pull; a download with more asks again
HASHES_PER_MESSAGE = 16_384  # 512 KiB
GROUP_CHUNKS = 8  # 512 KiB: one write on the line, one visit to a worker thread


class _Pull(Shape, frozen=True):
    """Recipient: send me the body of that grant. `ranges` are first and past-the-last chunk, ascending."""

    channel: ChannelId
    grant: Size
    one_time: Digest
    hashes: bool
    ranges: Annotated[tuple[tuple[Size, Size], ...], Meta(max_length=RANGES_MAX)]


class _Hashes(Shape, frozen=True):
    """Custodian: chunk hashes in order, 32 bytes each; as many messages as it takes."""

    hashes: Annotated[bytes, Meta(max_length=HASHES_PER_MESSAGE * 32)]


class _Chunk(Shape, frozen=True):
    index: Size
    data: bytes


class _Wrapped(Shape, frozen=True):
    """Custodian: that was all, and here is the key under both one-time keys and the secret not yet released."""

    one_time: Digest
    wrapped: Annotated[bytes, Meta(max_length=256)]


class _Denied(Shape, frozen=True):
    fault: int
    detail: Annotated[str, Meta(max_length=500)]


_decode_pull = decoder(_Pull, bytes_max=64 * 1024, what="pull")
_decode_hashes = decoder(_Hashes, bytes_max=FRAME_BYTES_MAX, what="chunk hashes")
_decode_chunk = decoder(_Chunk, bytes_max=FRAME_BYTES_MAX, what="chunk")
_decode_wrapped = decoder(_Wrapped, bytes_max=1024, what="wrapped key")
_decode_denied = decoder(_Denied, bytes_max=4096, what="denial")


class RecordsLine(Protocol):
    """What a transfer needs of a line. Both raise when the line ends."""

    async def send_many(self, messages: Iterable[tuple[int, bytes]]) -> None: ...

    async def receive(self) -> tuple[int, bytes]: ...


Find = Callable[[bytes, int], Awaitable[Spooled]]
"""`find(channel, grant)`: the body, if the peer at this line may have it now; else raises `Refused` (NOT_GRANTED)."""


async def serve_pulls(line: RecordsLine, find: Find) -> None:
    """[PULL-2] Answer one pull after another until the line ends, which raises whatever the line raises.

    A pull that cannot be answered is denied with its fault, and the line goes on. Anything else on the line raises
    `Refused`, for the caller to close it with.
    """
    while True:
        kind, payload = await line.receive()
        require(kind == PULL, Fault.UNEXPECTED, f"message {kind} where a pull was due")
        wanted = _decode_pull(payload)
        try:
            spooled = await find(wanted.channel, wanted.grant)
            indices = _indices(wanted.ranges, chunk_count(spooled.cipher_size))
        except Refused as refused:
            await line.send_many([(DENIED, encode(_Denied(fault=refused.fault, detail=refused.detail[:500])))])
            continue
        await _send_body(line, spooled, wanted, indices)


def _indices(ranges: tuple[tuple[int, int], ...], count: int) -> list[int]:
    """[PULL-1] The chunks asked for, each once. Raises `Refused` (NO_SUCH_CHUNK)."""
    past = 0
    for first, end in ranges:
        require(past <= first < end <= count, Fault.NO_SUCH_CHUNK, f"chunks {first} to {end} of {count}")
        past = end
    return [index for first, end in ranges for index in range(first, end)]


async def _send_body(line: RecordsLine, spooled: Spooled, wanted: _Pull, indices: list[int]) -> None:
    # [PULL-3] Hashes, chunks, and the key at the end.
    if wanted.hashes:
        page = HASHES_PER_MESSAGE * 32
        pages = (spooled.hashes[start : start + page] for start in range(0, len(spooled.hashes), page))
        for hashes in pages:
            await line.send_many([(HASHES, encode(_Hashes(hashes=hashes)))])
    for group in _groups(indices):
        await line.send_many(await trio.to_thread.run_sync(_read_group, spooled, group))
    one_time, wrapped = spooled.wrap_for(wanted.one_time)
    await line.send_many([(WRAPPED, encode(_Wrapped(one_time=one_time, wrapped=wrapped)))])


def _groups(indices: list[int]) -> Iterator[list[int]]:
    return (indices[start : start + GROUP_CHUNKS] for start in range(0, len(indices), GROUP_CHUNKS))


def _read_group(spooled: Spooled, group: list[int]) -> list[tuple[int, bytes]]:
    chunks = spooled.read(group)
    return [(CHUNK, encode(_Chunk(index=i, data=data))) for i, data in zip(group, chunks, strict=True)]


async def pull(line: RecordsLine, download: Download, progress: Callable[[int], None] = lambda _: None) -> None:
    """Fetch what is missing of a download and make it durable; afterwards its receipt may be written.

    `progress` is told the bytes of each group that was verified. Raises `Refused` with the peer's fault when it
    denies, or with its own when what it sends does not verify; and whatever the line raises when it ends. In every
    case what was verified stays, and the next pull goes on from there.
    """
    while not download.is_complete:
        ranges = _ranges(download.missing)
        request = _Pull(
            channel=download.channel,
            grant=download.grant,
            one_time=download.one_time_public,
            hashes=not download.has_hashes,
            ranges=ranges,
        )
        await line.send_many([(PULL, encode(request))])
        if not download.has_hashes:
            await _receive_hashes(line, download)
        await _receive_chunks(line, download, sum(end - first for first, end in ranges), progress)
        answer = _decode_wrapped(await _expect(line, WRAPPED))
        download.accept_key(answer.one_time, answer.wrapped)
        if not download.missing:
            await trio.to_thread.run_sync(download.complete)


def _ranges(missing: set[int]) -> tuple[tuple[int, int], ...]:
    """Missing chunks as ranges, at most as many as one pull may name."""
    ranges: list[tuple[int, int]] = []
    for index in sorted(missing):
        if ranges and ranges[-1][1] == index:
            ranges[-1] = (ranges[-1][0], index + 1)
        elif len(ranges) == RANGES_MAX:
            break
        else:
            ranges.append((index, index + 1))
    return tuple(ranges)


async def _expect(line: RecordsLine, kind: int) -> bytes:
    came, payload = await line.receive()
    if came == DENIED:
        denied = _decode_denied(payload)
        known = denied.fault in Fault.__members__.values()
        raise Refused(Fault(denied.fault) if known else Fault.NOT_GRANTED, f"the custodian denies: {denied.detail}")
    require(came == kind, Fault.UNEXPECTED, f"message {came} where {kind} was due")
    return payload


async def _receive_hashes(line: RecordsLine, download: Download) -> None:
    due = chunk_count(download.body.cipher_size) * 32
    hashes = b""
    while len(hashes) < due:
        page = _decode_hashes(await _expect(line, HASHES)).hashes
        require(page, Fault.UNEXPECTED, "a page without hashes")
        hashes += page
    await trio.to_thread.run_sync(download.accept_hashes, hashes)


async def _receive_chunks(line: RecordsLine, download: Download, due: int, progress: Callable[[int], None]) -> None:
    while due:
        payloads = [await _expect(line, CHUNK) for _ in range(min(due, GROUP_CHUNKS))]
        due -= len(payloads)
        progress(await trio.to_thread.run_sync(_take_group, download, payloads))


def _take_group(download: Download, payloads: list[bytes]) -> int:
    chunks = [_decode_chunk(payload) for payload in payloads]
    download.accept_chunks([(chunk.index, chunk.data) for chunk in chunks])
    return sum(len(chunk.data) for chunk in chunks)
