"""How a reader asks: HTTP to one node, with deadlines and bounded answers. It believes nothing and verifies nothing."""

from typing import TypeVar

import httpx

from l1.ground.faults import Fault, LocalError, Refused, require
from l1.reader.answers import ErrorAnswer, parse, refused

__all__ = ["URL_FILE", "ChainUnreachable", "Transport"]

T = TypeVar("T")

URL_FILE = "chain.url"  # in a chain node's folder while it runs: where it listens
ANSWER_BYTES_MAX = 64 * 1024 * 1024  # 1,000 headers or one block in hex are far below
DEADLINE_S = 30.0  # a node that takes longer is as good as down
LONG_POLL_S = 10.0  # how long a node may hold a question that has no news


class ChainUnreachable(LocalError):  # noqa: N818 - it says what is so, as its siblings do
    """The chain's node does not answer. Nothing is known to be wrong with the chain."""


class Transport:
    """One node's address and the connection pool to it."""

    def __init__(self, url: str, client: httpx.AsyncClient | None = None) -> None:
        self.url = url.rstrip("/")
        self._client = client or httpx.AsyncClient(timeout=DEADLINE_S, trust_env=False)

    async def get(self, path: str, form: type[T], **query: int | str) -> T:
        return parse(await self._ask("GET", path, params=query), form)

    async def post(self, path: str, body: bytes, form: type[T]) -> T:
        return parse(await self._ask("POST", path, body=body), form)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _ask(
        self, method: str, path: str, *, params: dict[str, int | str] | None = None, body: bytes | None = None
    ) -> bytes:
        headers = {} if body is None else {"content-type": "application/octet-stream"}
        try:
            answer = await self._client.request(method, self.url + path, params=params, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise ChainUnreachable(
                f"the chain at {self.url} does not answer ({type(error).__name__})", "Start its node, or check the URL"
            ) from None
        require(len(answer.content) <= ANSWER_BYTES_MAX, Fault.TOO_LARGE, "the node's answer")
        if answer.is_success:
            return answer.content
        raise self._fault(answer)

    def _fault(self, answer: httpx.Response) -> Exception:
        try:
            return refused(parse(answer.content, ErrorAnswer).error)
        except Refused:
            cause = f"the chain at {self.url} answered with HTTP status {answer.status_code}"
            return ChainUnreachable(cause, "Check that the URL is that of a chain's node")
