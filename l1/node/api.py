"""What may be asked of the chain: one table; routes, OpenAPI document and reference page come from it."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from l1.ground.faults import Fault, Refused
from l1.node import views
from l1.node.chain import Chain
from l1.node.handlers import Handlers
from l1.serving.answers import json_answer
from l1.serving.openapi import Api, Endpoint, Parameter, document

__all__ = ["API", "ENDPOINTS", "make_app"]

API = Api(
    "Interward chain",
    "l1/node/api.py",
    "Anyone may read; only signed transactions change anything. Bytes are lower hex. Answers carry what proves them: "
    "headers signed by the authority, RFC 9162 inclusion proofs, sparse Merkle state proofs. `decoded` is a "
    "convenience; a careful reader decodes `value` itself. A refusal is an `error` with the fault's name and number, "
    "a detail and a remedy.",
)

_WAIT = Parameter("wait_ms", "hold the answer so long until there is news; at most 30,000")
_PAGE = (
    Parameter("after", "row key in hex, the last of the page before", "string"),
    Parameter("count", "rows wanted; at most 500"),
)
_HEADER = "the newest header as `{body, signature}`; null at height 0, which readers derive from the genesis"
_ROW = {
    "height": "of the block that the answer stands on",
    "header": _HEADER,
    "key": "the row's key in the state",
    "value": "canonical bytes of the row; null if there is none",
    "proof": "state proof `{siblings, leaf}` of the row, or of its absence, under the header",
    "decoded": "the row in words",
}
_ROWS = {"height": _ROW["height"], "header": _HEADER, "rows": "a list of `{key, value, proof, decoded}`"}

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET",
        "/v1/status",
        "status",
        "How the chain and this node stand",
        {
            "chain": "hash of the genesis",
            "name": "the chain's name",
            "height": "of the newest block",
            "time_ms": "the newest block's time, ms since the epoch",
            "clock_ms": "the chain clock, on which windows run",
            "mempool": "transactions that wait",
            "role": "`authority` or `follower`",
        },
    ),
    Endpoint("GET", "/v1/genesis", "genesis", "The genesis file", {"chain": "its hash", "…": "see docs/spec/chain.md"}),
    Endpoint(
        "POST",
        "/v1/transactions",
        "submit",
        "Hand in a signed transaction; checked against the state as it will be after those that wait",
        {"id": "SHA-256 of the bytes"},
        status=202,
        body="the canonical signed bytes, at most 1 MiB; the same bytes twice do no harm",
    ),
    Endpoint(
        "POST",
        "/v1/transactions/batch",
        "submit_many",
        "Hand in many signed transactions at once; each stands or falls alone",
        {"results": "for each in order `{id}` or `{error}`"},
        status=202,
        body="a canonical msgpack array of them, at most 4 MiB",
    ),
    Endpoint(
        "GET",
        "/v1/transactions/{id}",
        "transaction",
        "What became of a transaction",
        {
            "status": "`pending`, `included`, `refused` or `unknown` (refusals are forgotten in time)",
            "height": "of its block",
            "index": "in its block",
            "count": "transactions in its block",
            "header": "its block's signed header",
            "proof": "RFC 9162 inclusion proof under the header's transaction root",
            "item": "what stands in the block: the transaction, or `[fault, transaction]` if it failed there",
            "failed": "why it failed in its block, or null",
            "error": "why it was refused",
        },
        (_WAIT,),
    ),
    Endpoint(
        "GET",
        "/v1/headers",
        "headers",
        "Signed headers in order",
        {"headers": "a list of `{body, signature}`"},
        (Parameter("from", "first height"), Parameter("count", "how many; at most 1,000"), _WAIT),
    ),
    Endpoint(
        "GET",
        "/v1/blocks",
        "blocks",
        "Whole blocks in order, for followers",
        {"blocks": "canonical bytes of each"},
        (Parameter("from", "first height"), Parameter("count", "how many; at most 200"), _WAIT),
    ),
    Endpoint(
        "GET",
        "/v1/blocks/{height:int}",
        "block",
        "One block, also in words",
        {
            "height": "its height",
            "block": "its canonical bytes",
            "header": "its signed header",
            "decoded": "the header in words",
            "transactions": "each with id, account, key, nonce and action",
        },
    ),
    Endpoint("GET", "/v1/rows/{key}", "row", "Any row of the state, or its absence, proved", _ROW),
    Endpoint(
        "POST",
        "/v1/rows",
        "rows",
        "Many rows at once under one header, each proved, in the order asked; changes nothing",
        _ROWS,
        body="a canonical msgpack array of at most 500 row keys",
    ),
    Endpoint(
        "GET",
        "/v1/accounts/{id}",
        "account",
        "An account, proved",
        _ROW | {"next_nonce": "the nonce after those that wait"},
    ),
    Endpoint("GET", "/v1/hospitals", "hospitals", "Every admitted hospital, each row proved", _ROWS, _PAGE),
    Endpoint("GET", "/v1/hospitals/{id}", "hospital", "A hospital's registry entry, proved", _ROW),
    Endpoint("GET", "/v1/hospitals/{id}/channels", "channels_of", "Its channels, each row proved", _ROWS, _PAGE),
    Endpoint("GET", "/v1/channels/{id}", "channel", "A channel, proved", _ROW),
    Endpoint(
        "GET",
        "/v1/events",
        "events",
        "Server-sent events: `block` for each block, with its ids, kinds and signed header. `Last-Event-ID` resumes",
        {},
        media_type="text/event-stream",
    ),
    Endpoint("GET", "/metrics", "metrics", "Figures for Prometheus", {}, media_type="text/plain"),
)


async def _on_refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    status = 503 if error.fault is Fault.MEMPOOL_FULL else 400
    return json_answer({"error": views.error_view(error)}, status)


async def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refusal = Refused(Fault.UNEXPECTED, str(error.detail).lower())
    return json_answer({"error": views.error_view(refusal) | {"remedy": "See /openapi.json"}}, error.status_code)


def make_app(chain: Chain) -> Starlette:
    """The ASGI application over a chain."""
    handlers = Handlers(chain)

    async def openapi(_: Request) -> Response:
        return json_answer(document(API, ENDPOINTS), 200)

    def route(endpoint: Endpoint) -> Route:
        handler: Callable[[Request], Awaitable[Response]] = getattr(handlers, endpoint.handler)
        return Route(endpoint.path, handler, methods=[endpoint.method])

    return Starlette(
        routes=[Route("/openapi.json", openapi), *map(route, ENDPOINTS)],
        exception_handlers={Refused: _on_refused, HTTPException: _on_http},
    )
