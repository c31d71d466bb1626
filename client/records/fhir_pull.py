"""Records out of a FHIR server: searches page by page, and bulk exports (`$export`).

What a search finds becomes one record for each patient, put together from the very bytes of the resources, in an order
of their own: so a search that finds the same gives the same records. Of a bulk export every file is a record, cut at
its lines where it is long. Sources: FHIR R4, section 3.1.1 (search, paging); Bulk Data Access 2.0 (async pattern).
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

import msgspec
import trio

from client.records.fhir_server import FhirServer, pause_s
from client.records.importing import Import, Source
from l1.ground.codes import MediaType
from l1.ground.faults import LocalError
from l2.records import Piece, collection, pieces_of

__all__ = ["bulk_sources", "search_sources"]

PAGES_MAX = 10_000
SEARCH_BYTES_MAX = 1024**3  # what one search may find: it is held in memory until it is sorted by patient
PART_BYTES_MAX = 16 * 1024**2  # of a bulk export's file: looked at whole by the hospital
PART_LINES_MAX = 10_000  # fewer than the patients that one record may name
POLL_S = 5.0
WAIT_S = 6 * 3600.0  # a large hospital's export runs for hours


async def search_sources(server: FhirServer, query: str) -> AsyncGenerator[Source, None]:
    """A record for each patient that a search finds, and one for what is about nobody."""
    alone = query.split("/")[1] if query.startswith("Patient/") and "$everything" in query else ""
    found: dict[str, dict[bytes, Piece]] = {}
    size = 0
    async with aclosing(_pages(server, query)) as pages:
        async for page in pages:
            size += len(page)
            if size > SEARCH_BYTES_MAX:
                raise LocalError(f"the search finds over {SEARCH_BYTES_MAX:,} bytes", "Ask for less, or use --bulk.")
            for piece in pieces_of(page, MediaType.FHIR_JSON):
                if piece.outside.kind != "OperationOutcome":
                    about = piece.outside.subjects[0] if len(piece.outside.subjects) == 1 else alone
                    found.setdefault(about, {})[piece.slice.raw] = piece
    for about, pieces in sorted(found.items()):
        ordered = sorted(pieces.values(), key=lambda piece: (piece.outside.kind, piece.outside.id, piece.slice.raw))
        content = collection([piece.slice for piece in ordered])
        yield _ready(f"{server.at(query)} ({about or 'nobody'})", f"{about or 'directory'}.json", content)


async def _pages(server: FhirServer, query: str) -> AsyncGenerator[bytes, None]:
    """Every page of a search. Raises `LocalError` where a page is none, or leads back."""
    url: str | None = server.at(query)
    seen: set[str] = set()
    while url is not None:
        if url in seen or len(seen) >= PAGES_MAX:
            raise LocalError("the FHIR server's pages do not end", f"The last one was {url}.")
        seen.add(url)
        _, content = await server.ask("GET", url)
        url = _next(content, url)
        yield content


def _next(content: bytes, url: str) -> str | None:
    try:
        page: Any = msgspec.json.decode(content)
        is_bundle = page["resourceType"] == "Bundle"
        links = page.get("link") or []
        after = next((str(link["url"]) for link in links if link.get("relation") == "next"), None)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        is_bundle, after = False, None
    if not is_bundle:
        raise LocalError("the FHIR server's answer is no Bundle", f"It was asked: {url}")
    return after


def _ready(where: str, name: str, content: bytes) -> Source:
    async def opened() -> bytes:
        return content

    return Source(where, name, len(content), opened)


async def bulk_sources(
    server: FhirServer,
    operation: str,
    report: Import,
    *,
    since: str = "",
    types: tuple[str, ...] = (),
    wait_s: float = WAIT_S,
) -> AsyncGenerator[Source, None]:
    """Every file of a bulk export; what the server says it could not export goes into the report. `operation` is
    `$export`, `Patient/$export` or `Group/ID/$export`."""
    asked = {"_outputFormat": "application/fhir+ndjson"}
    asked |= {"_since": since} if since else {}
    asked |= {"_type": ",".join(types)} if types else {}
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in asked.items())
    status = await _kick_off(server, f"{operation}?{query}")
    try:
        manifest = await _await_manifest(server, status, wait_s)
        for error in _files(manifest, "error"):
            report.refused.append({"file": str(error["url"]), "reason": "the server could not export some of it"})
        for number, output in enumerate(_files(manifest, "output")):
            with_token = bool(manifest.get("requiresAccessToken"))
            async with aclosing(_parts(server, str(output["url"]), with_token=with_token)) as parts:
                async for part in parts:
                    yield _ready(str(output["url"]), f"{output.get('type', 'export')}.{number}.ndjson", part)
    finally:
        # The server may forget its files; it is no matter if it will not.
        with trio.move_on_after(10, shield=True):
            await server.ask("DELETE", status, allowed=tuple(range(400, 600)))


async def _kick_off(server: FhirServer, url: str) -> str:
    answer, _ = await server.ask("GET", url, headers={"prefer": "respond-async"})
    status: str = answer.headers.get("content-location", "")
    if answer.status_code != 202 or not status:
        raise LocalError("the FHIR server does not export in bulk", "Search instead: --search or --patient.")
    return server.at(status)


async def _await_manifest(server: FhirServer, status: str, wait_s: float) -> dict[str, Any]:
    """Poll as the server says until the export is complete."""
    waited = 0.0
    while True:
        answer, content = await server.ask("GET", status, headers={"accept": "application/json"}, allowed=(429,))
        if answer.status_code == 200:
            break
        pause = max(0.1, pause_s(answer, POLL_S))
        if waited + pause > wait_s:
            progress = answer.headers.get("x-progress", "no progress told")
            raise LocalError(f"the export is not complete after {waited:.0f} s ({progress})", "Ask again later.")
        await server.sleep(pause)
        waited += pause
    try:
        manifest: Any = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        manifest = None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("output"), list):
        raise LocalError("the export's manifest is none", "The server does not follow Bulk Data Access.")
    return manifest


def _files(manifest: dict[str, Any], name: str) -> list[dict[str, Any]]:
    listed = manifest.get(name)
    files = listed if isinstance(listed, list) else []
    return [one for one in files if isinstance(one, dict) and isinstance(one.get("url"), str)]


async def _parts(server: FhirServer, url: str, *, with_token: bool) -> AsyncGenerator[bytes, None]:
    """A file's lines in parts that a hospital can look at whole: of a short file, all of it."""
    headers = {"accept": "application/fhir+ndjson"}
    kept, lines = bytearray(), 0
    async with server.stream("GET", url, headers=headers, with_token=with_token or server.is_own(url)) as answer:
        if not answer.is_success:
            raise LocalError(f"the FHIR server answers {answer.status_code}", f"It was asked: {url}")
        async for piece in answer.aiter_bytes():
            for line in piece.splitlines(keepends=True):
                kept += line
                if not line.endswith(b"\n"):
                    continue
                lines += 1
                if lines >= PART_LINES_MAX or len(kept) >= PART_BYTES_MAX:
                    yield bytes(kept)
                    kept, lines = bytearray(), 0
    if kept:
        yield bytes(kept)
