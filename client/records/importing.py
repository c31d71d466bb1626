"""Taking records in, many at once: each source ends in the report, added, known, refused or left out, with the reason.

Knows the desk. The hospital stores together what waits together, so files go over many at a time. Nothing that can be
wrong with one source ends the import; only an absent hospital does.
"""

import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import msgspec
import trio

from client.progress import Advance
from client.records.files import PIECE_BYTES, Found, read_pieces
from l1.ground.faults import LocalError, Refused
from l2.desk.crowds import NAME_CHARS_MAX, NewRecord
from l2.desk.desk import Desk
from l2.desk.words import RecordAdded

__all__ = ["Import", "Source", "import_all", "of_files"]

AT_ONCE = 8  # requests under way: enough that the hospital's syncs are shared, few enough for memory
SHORT_BYTES = 128 * 1024  # shorter ones go many in a request
CROWD_FILES = 256
CROWD_BYTES = 4 * 1024 * 1024  # half of what a request may have: a file may have grown since it was looked at

Content = bytes | AsyncIterable[bytes]
Row = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """Something to be taken in. `where` names it in the report, `open` gives its bytes; `size` is about how many."""

    where: str
    name: str
    size: int
    open: Callable[[], Awaitable[Content]]


@dataclass
class Import:
    """The report."""

    added: list[Row] = field(default_factory=list)
    refused: list[Row] = field(default_factory=list)
    skipped: list[Row] = field(default_factory=list)
    bytes: int = 0
    seconds: float = 0.0

    @property
    def counts(self) -> dict[str, int]:
        known = sum(row["known"] for row in self.added)
        counted = {"added": len(self.added) - known, "known": known}
        return counted | {"refused": len(self.refused), "skipped": len(self.skipped)}

    def by(self, field_name: str) -> dict[str, int]:
        """How many of the records have each value of a field, most first."""
        return dict(Counter(row[field_name] for row in self.added).most_common())

    def as_json(self) -> dict[str, Any]:
        counts = self.counts
        return {
            "added": self.added,
            "refused": self.refused,
            "skipped": self.skipped,
            "counts": counts | {"all": sum(counts.values())},
            "media_types": self.by("media_type"),
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
        }


def of_files(found: Iterable[Found], report: Import) -> Iterator[Source]:
    """The files to be taken in; the others go into the report."""
    for one in found:
        if one.why_not:
            (report.refused if one.refused else report.skipped).append({"file": str(one.path), "reason": one.why_not})
        else:
            yield Source(str(one.path), one.path.name, one.size, _opener(one))


def _opener(found: Found) -> Callable[[], Awaitable[Content]]:
    async def opened() -> Content:
        if found.size > PIECE_BYTES:
            return read_pieces(found.path)
        return found.path.read_bytes()  # short: a thread would cost more than it saves

    return opened


async def import_all(
    desk: Desk,
    sources: Iterable[Source] | AsyncGenerator[Source, None],
    report: Import,
    advance: Advance,
    *,
    label: str = "",
) -> Import:
    """Add everything, reported in the order of the sources. Raises `LocalError` without a hospital."""
    began = time.monotonic()
    rows: dict[int, Row] = {}
    turns = trio.Semaphore(AT_ONCE)
    async with trio.open_nursery() as nursery:

        async def add(crowd: list[tuple[int, Source]]) -> None:
            try:
                rows.update(await _add_crowd(desk, crowd, label))
            finally:
                turns.release()
                advance(len(crowd))

        async with aclosing(_crowds(sources)) as crowds:
            async for crowd in crowds:
                await turns.acquire()
                nursery.start_soon(add, crowd)
    for number in sorted(rows):
        row = rows[number]
        (report.refused if "reason" in row else report.added).append(row)
        report.bytes += row.get("bytes", 0)
    report.seconds += time.monotonic() - began
    return report


async def _crowds(
    sources: Iterable[Source] | AsyncGenerator[Source, None],
) -> AsyncGenerator[list[tuple[int, Source]], None]:
    """Numbered sources, short ones many together, a long one alone."""
    crowd: list[tuple[int, Source]] = []
    room, number = CROWD_BYTES, -1
    async with aclosing(_each(sources)) as each:
        async for source in each:
            number += 1
            if source.size > SHORT_BYTES:
                yield [(number, source)]
                continue
            if len(crowd) == CROWD_FILES or source.size > room:
                yield crowd
                crowd, room = [], CROWD_BYTES
            crowd.append((number, source))
            room -= source.size
    if crowd:
        yield crowd


async def _each(sources: Iterable[Source] | AsyncGenerator[Source, None]) -> AsyncGenerator[Source, None]:
    if isinstance(sources, AsyncGenerator):
        async with aclosing(sources) as come:
            async for source in come:
                yield source
    else:
        for source in sources:
            yield source


async def _add_crowd(desk: Desk, crowd: list[tuple[int, Source]], label: str) -> dict[int, Row]:
    rows: dict[int, Row] = {}
    here: list[tuple[int, Source, bytes]] = []
    for number, source in crowd:
        try:
            content = await source.open()
            if isinstance(content, bytes) and len(content) <= SHORT_BYTES:
                here.append((number, source, content))
            else:
                rows[number] = await _add(desk, source, content, label)
        except OSError as error:
            rows[number] = _refused(source, (error.strerror or str(error)).lower())
        except Refused as refused:
            rows[number] = _refused(source, str(refused))
    if here:
        wanted = [NewRecord(name=source.name[-NAME_CHARS_MAX:], content=content) for _, source, content in here]
        for (number, source, _), became in zip(here, await desk.add_crowd(wanted, label=label), strict=True):
            rows[number] = _refused(source, became.problem) if became.added is None else _added(source, became.added)
    return rows


async def _add(desk: Desk, source: Source, content: Content, label: str) -> Row:
    name = source.name[-NAME_CHARS_MAX:]
    try:
        if isinstance(content, bytes):
            return _added(source, await desk.add_record(content, name=name, label=label))
        async with aclosing(content) as pieces:  # type: ignore[type-var]
            return _added(source, await desk.add_record(pieces, name=name, label=label))
    except LocalError as error:
        await desk.status()  # if the hospital has gone, that is what to say
        return _refused(source, error.cause)


def _added(source: Source, added: RecordAdded) -> Row:
    return {"file": source.where, **msgspec.structs.asdict(added)}


def _refused(source: Source, reason: str) -> Row:
    return {"file": source.where, "reason": reason}
