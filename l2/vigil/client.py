"""Asking a tower: its HTTP API as an object, one method for each thing that can be asked. It decides nothing."""

from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from l1.ground.faults import Fault, LocalError, Refused
from l1.reader.answers import ErrorAnswer, parse, refused
from l2.vigil.words import AnswerView, HandedOver, TowerStatus

__all__ = ["URL_FILE", "TowerUnreachable", "Watchtower"]

URL_FILE = "tower.url"  # in a tower's folder while it runs: where it listens

ANSWER_S = 30.0

T = TypeVar("T")


class TowerUnreachable(LocalError):  # noqa: N818 - it says what is so
    """The tower does not answer."""


class Watchtower:
    """A tower at a URL; use it as an async context manager."""

    def __init__(self, url: str, client: httpx.AsyncClient | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = client or httpx.AsyncClient(timeout=ANSWER_S, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def status(self) -> TowerStatus:
        return _words(await self._ask("GET", "/v1/status"), TowerStatus)

    async def hand_over(self, handover: bytes) -> HandedOver:
        """What a hospital hands over, as `l2.protocol.handover` signs it. Raises `Refused` with the tower's reason."""
        return _words(await self._ask("POST", "/v1/handovers", handover), HandedOver)

    async def answers(self, *, after: str = "", count: int = 100) -> list[AnswerView]:
        """Closes of watched channels, in the order of their ids."""
        found = await self._ask("GET", "/v1/answers", query={"after": after, "count": count})
        return _words(found, list[AnswerView])

    async def proof(self, channel: bytes, side: int) -> bytes:
        """The proof file of an answer. Raises `Refused` where there is none."""
        return await self._ask("GET", f"/v1/answers/{channel.hex()}/{side}/proof")

    async def _ask(
        self, method: str, path: str, body: bytes | None = None, query: dict[str, Any] | None = None
    ) -> bytes:
        try:
            answer = await self._http.request(method, self.url + path, content=body, params=query)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            cause = f"the tower at {self.url} does not answer ({type(error).__name__})"
            raise TowerUnreachable(cause, "Start it, or check the URL.") from None
        if answer.is_success:
            return answer.content
        try:
            refusal = refused(parse(answer.content, ErrorAnswer).error)
        except Refused:
            cause = f"the tower at {self.url} answered with HTTP status {answer.status_code}"
            raise TowerUnreachable(cause, "Check that the URL is that of a tower.") from None
        raise refusal


def _words(data: bytes, form: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=form)
    except msgspec.DecodeError as error:
        raise Refused(Fault.MALFORMED, f"the tower's answer cannot be read ({error})") from None
