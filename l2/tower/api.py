"""What may be asked of a tower: one table; routes, OpenAPI document and reference page come from it.

Open to all: what it shows stands on the chain, and what it takes is signed. It knows HTTP and formats.
"""

from collections.abc import Awaitable, Callable

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.limits import HASH_BYTES
from l1.serving.answers import json_answer
from l1.serving.figures import FIGURES_TYPE, Figure, exposition
from l1.serving.openapi import Api, Endpoint, Parameter, document
from l1.serving.requests import body_of, hex_in_path, number, unhex
from l2.protocol.answer_proof import dump_answer
from l2.protocol.limits import HANDOVER_BYTES_MAX
from l2.tower.rows import Answer, Stand, side_key
from l2.tower.tower import Tower
from l2.vigil import AnswerView, TowerStatus

__all__ = ["API", "ENDPOINTS", "make_app"]

API = Api(
    "Interward tower",
    "l2/tower/api.py",
    "Anyone may ask; a handover counts by its hospital's signature. Bytes are lower hex, times are milliseconds since "
    "the epoch. A refusal is an `error` with the fault's name and number, a detail and a remedy.",
)
ANSWERS_MAX = 500

_ANSWER = {
    "channel": "its id",
    "side": "whose log is watched",
    "hospital": "for whom",
    "stand": "`nothing to show`, `wanted`, `asked`, `answered`, `others`, `too late` or `void`",
    "posted": "the size that the chain knows of that log",
    "shown": "the size that we answered with",
    "seen_at": "height at which the close was seen",
    "closes_at_ms": "when the window ends, on the chain clock",
    "height": "of the block in which our answer stands",
    "settled": "whether the channel has ended",
    "reward": "credits that it paid us",
}

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET",
        "/v1/status",
        "status",
        "How the tower stands",
        {
            "name": "the tower's name",
            "tower": "its account: what a hospital names on the chain",
            "key": "the public key of that account",
            "chain": "hash of the genesis",
            "height": "of the last block that was taken in",
            "clock_ms": "the chain clock there",
            "watched": "commitments held",
            "closes": "closes seen, settled ones included",
            "waiting": "answers that are not yet in a block",
            "bytes": "of the tower's file",
        },
    ),
    Endpoint(
        "POST",
        "/v1/handovers",
        "hand_over",
        "A hospital hands over its peers' newest commitments; durable when this answers",
        {"held": "how many are held", "refused": "those that are not: `{channel, fault, detail}`"},
        body="a signed handover: [spec](../spec/tower.md)",
    ),
    Endpoint(
        "GET",
        "/v1/answers",
        "answers",
        "Closes of watched channels and what was done, by channel; a list",
        _ANSWER,
        (
            Parameter("after", "channel and side in hex, the last of the page before", "string"),
            Parameter("count", "wanted; at most 500"),
        ),
    ),
    Endpoint("GET", "/v1/answers/{channel}/{side:int}", "answer", "One of them", _ANSWER),
    Endpoint(
        "GET",
        "/v1/answers/{channel}/{side:int}/proof",
        "proof",
        "The proof that we answered: our challenge in a block that the authority signed",
        {
            "tower": "who answered",
            "size": "what was shown",
            "height": "in which block",
            "proof": "canonical bytes; who has the genesis needs nothing else",
        },
    ),
    Endpoint("GET", "/metrics", "metrics", "Figures for Prometheus", {}, media_type="text/plain"),
)


class Handlers:
    """Who answers what, over one tower."""

    def __init__(self, tower: Tower) -> None:
        self._tower = tower

    def _status(self) -> TowerStatus:
        tower = self._tower
        with tower.store.reading() as rows:
            counts = {name: rows.count(name) for name in ("held", "answers", "waiting")}
        return TowerStatus(
            name=tower.name,
            tower=tower.account.hex(),
            key=tower.signer.public_key.hex(),
            chain=tower.reader.chain.hex(),
            height=tower.follower.height,
            clock_ms=tower.reader.tip.clock_ms,
            watched=counts["held"],
            closes=counts["answers"],
            waiting=counts["waiting"],
            bytes=tower.store.size_bytes(),
            store=tower.store.id.hex(),
        )

    async def status(self, _: Request) -> Response:
        return json_answer(self._status())

    async def hand_over(self, request: Request) -> Response:
        return json_answer(await self._tower.reception.take(await body_of(request, HANDOVER_BYTES_MAX)))

    async def answers(self, request: Request) -> Response:
        after = unhex(request.query_params.get("after", ""), "after")
        with self._tower.store.reading() as rows:
            found = rows.answers(after, number(request, "count", 100, ANSWERS_MAX))
        return json_answer([answer_view(key, answer) for key, answer in found])

    def _answer(self, request: Request) -> tuple[bytes, Answer]:
        side = request.path_params["side"]
        key = side_key(hex_in_path(request, "channel", HASH_BYTES), min(side, 1))
        with self._tower.store.reading() as rows:
            found = rows.answer(key)
        if found is None or side > 1:
            raise HTTPException(404, "this tower has seen no close of that side of that channel")
        return key, found

    async def answer(self, request: Request) -> Response:
        return json_answer(answer_view(*self._answer(request)))

    async def proof(self, request: Request) -> Response:
        _, found = self._answer(request)
        if found.proof is None:
            raise HTTPException(404, "no answer of this tower stands in a block")
        return Response(dump_answer(found.proof, self._tower.reader.genesis), media_type="application/json")

    async def metrics(self, _: Request) -> Response:
        status = msgspec.structs.asdict(self._status())
        about = {
            "height": "The last block that was taken in",
            "watched": "Commitments held",
            "closes": "Closes of watched channels seen",
            "waiting": "Answers that are not yet in a block",
            "bytes": "Bytes of the tower's file",
        }
        figures = [Figure(f"interward_tower_{name}", text, status[name]) for name, text in about.items()]
        return Response(exposition(figures), media_type=FIGURES_TYPE)


def answer_view(key: bytes, answer: Answer) -> AnswerView:
    """An answer in words."""
    return AnswerView(
        channel=key[:32].hex(),
        side=key[32],
        hospital=answer.hospital.hex(),
        stand=Stand(answer.stand).name.lower().replace("_", " "),
        posted=answer.posted,
        shown=answer.shown,
        seen_at=answer.seen_at,
        closes_at_ms=answer.closes_at_ms,
        height=answer.answered_at or None,
        settled=answer.settled,
        reward=answer.reward,
    )


def _error(refusal: Refused, remedy: str, status: int) -> Response:
    name = refusal.fault.name.lower().replace("_", " ")
    said = {"fault": name, "number": int(refusal.fault), "detail": refusal.detail, "remedy": remedy}
    return json_answer({"error": said}, status)


async def _on_refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _error(error, "", 400)


async def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(Refused(Fault.UNEXPECTED, str(error.detail)), "See /openapi.json", error.status_code)


async def _on_absent(_: Request, error: Exception) -> Response:
    assert isinstance(error, LocalError)
    return _error(Refused(Fault.UNEXPECTED, error.cause), error.remedy, 503)


def make_app(tower: Tower) -> Starlette:
    """The ASGI application over a tower."""
    handlers = Handlers(tower)

    async def openapi(_: Request) -> Response:
        return json_answer(document(API, ENDPOINTS))

    def route(endpoint: Endpoint) -> Route:
        handler: Callable[[Request], Awaitable[Response]] = getattr(handlers, endpoint.handler)
        return Route(endpoint.path, handler, methods=[endpoint.method])

    return Starlette(
        routes=[Route("/openapi.json", openapi), *map(route, ENDPOINTS)],
        exception_handlers={Refused: _on_refused, HTTPException: _on_http, LocalError: _on_absent},
    )
