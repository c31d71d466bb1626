"""A FHIR R4 server as its client sees it: one address, one token, answers that are bounded, and errors in a line.

The token goes to the server's own address and nowhere else, and never over a line that can be listened to. Knows HTTP
and OperationOutcome, not what the resources say. Source: FHIR R4, section 3.1 (RESTful API).
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

import httpx
import msgspec
import trio

from l1.ground.faults import LocalError

__all__ = ["ANSWER_BYTES_MAX", "FhirServer"]

FHIR_JSON = "application/fhir+json"
ANSWER_BYTES_MAX = 256 * 1024 * 1024  # of one page or manifest; larger ones are what $export is for
ANSWER_S = 120.0
CONNECTIONS_MAX = 4  # a hospital's own server is used by others too
TRIES = 5
PAUSE_S_MAX = 60.0
_BUSY = (429, 503)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class FhirServer:
    """Use it as an async context manager. `sleep` is for tests."""

    def __init__(
        self,
        base: str,
        token: str = "",
        *,
        ca: Path | None = None,
        sleep: Callable[[float], Awaitable[None]] = trio.sleep,
    ) -> None:
        """Raises `LocalError` for an address that is none, or to which a token may not go."""
        self.base = httpx.URL(base.rstrip("/") + "/")
        if self.base.scheme not in ("http", "https") or not self.base.host:
            raise LocalError(f"{base!r} is no address of a FHIR server", "Write it as https://host/fhir.")
        if token and self.base.scheme != "https" and self.base.host not in _LOOPBACK:
            raise LocalError(f"a token may not go to {base} in clear", "Use https.")
        self.sleep = sleep
        self._token = token
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(ANSWER_S),
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
            verify=ssl.create_default_context(cafile=None if ca is None else str(ca)),
            trust_env=False,
            follow_redirects=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    def at(self, url: str) -> str:
        """A relative address under the server's, or an absolute one."""
        return urljoin(str(self.base), url)

    def is_own(self, url: str) -> bool:
        other = httpx.URL(url)
        return (other.scheme, other.host, other.port) == (self.base.scheme, self.base.host, self.base.port)

    async def ask(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        allowed: tuple[int, ...] = (),
    ) -> tuple[httpx.Response, bytes]:
        """An answer and its body; a busy server is asked again later. Raises `LocalError` for any error that is not
        `allowed`."""
        for turn in range(TRIES):
            async with self.stream(method, url, body=body, headers=headers) as answer:
                content = await _bounded(answer)
            if answer.status_code not in _BUSY or answer.status_code in allowed or turn == TRIES - 1:
                break
            await self.sleep(pause_s(answer, 2.0**turn))
        if answer.is_success or answer.status_code in allowed:
            return answer, content
        raise LocalError(f"the FHIR server answers {answer.status_code}{_outcome(content)}", f"It was asked: {url}")

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        with_token: bool = True,
    ) -> AsyncIterator[httpx.Response]:
        """An answer whose body is read as it comes. Raises `LocalError` for an address that is not the server's."""
        whole = self.at(url)
        if with_token and not self.is_own(whole):
            raise LocalError(f"the FHIR server points to another address ({whole})", "Nothing was asked there.")
        said = {"accept": FHIR_JSON} | (headers or {})
        if body:
            said["content-type"] = FHIR_JSON
        if self._token and with_token:
            said["authorization"] = f"Bearer {self._token}"
        try:
            async with self._http.stream(method, whole, content=body or None, headers=said) as answer:
                yield answer
        except httpx.TransportError as error:
            raise self._silent(error) from None

    def _silent(self, error: httpx.TransportError) -> LocalError:
        return LocalError(
            f"no FHIR server answers at {self.base} ({error or type(error).__name__})", "Is the address right?"
        )


def pause_s(answer: httpx.Response, otherwise: float) -> float:
    """What `Retry-After` says, in seconds or as a date, within bounds."""
    said = answer.headers.get("retry-after", "")
    if said.isascii() and said.isdigit():
        return min(float(said), PAUSE_S_MAX)
    try:
        then = parsedate_to_datetime(said)
        now = parsedate_to_datetime(answer.headers["date"])
        return min(max((then - now).total_seconds(), 0.0), PAUSE_S_MAX)
    except (ValueError, KeyError, TypeError):
        return min(otherwise, PAUSE_S_MAX)


async def _bounded(answer: httpx.Response) -> bytes:
    content = bytearray()
    async for piece in answer.aiter_bytes():
        content += piece
        if len(content) > ANSWER_BYTES_MAX:
            cause = f"the FHIR server's answer has over {ANSWER_BYTES_MAX:,} bytes"
            raise LocalError(cause, "Ask for less, or use --bulk.")
    return bytes(content)


def _outcome(content: bytes) -> str:
    """What an OperationOutcome says, shortly; nothing for any other body."""
    try:
        said: Any = msgspec.json.decode(content)
        issues = [issue for issue in said["issue"] if isinstance(issue, dict)]
        texts = [str(issue.get("diagnostics") or issue.get("code") or "") for issue in issues]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, KeyError, TypeError):
        return ""
    plain = "; ".join(text for text in texts if text)[:200]
    return f": {plain}" if plain else ""
