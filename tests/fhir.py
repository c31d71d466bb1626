"""A small FHIR R4 server over real HTTP, for tests: search with pages, `$everything`, transactions, update as create,
and bulk export with its polling. Resources come out as the bytes that went in.

Source: FHIR R4, section 3.1; Bulk Data Access 2.0.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from l1.serving.listening import bind, serve

__all__ = ["FhirStore", "serving"]

FHIR_JSON = "application/fhir+json"


@dataclass
class FhirStore:
    """What the server holds, and how it behaves."""

    token: str = "token-of-the-server"
    page: int = 2
    resources: dict[tuple[str, str], bytes] = field(default_factory=dict)
    url: str = ""
    busy: int = 0  # so many requests are answered with 429 first
    polls: int = 2  # so many times an export is not complete yet
    asked: list[str] = field(default_factory=list)
    exports: dict[str, int] = field(default_factory=dict)
    next_at: str = ""  # where the next page is said to be, if not here

    def put(self, resource: dict[str, Any]) -> None:
        self.resources[resource["resourceType"], resource["id"]] = json.dumps(resource, indent=1).encode()

    def of(self, patient: str) -> list[tuple[str, bytes]]:
        """A patient's compartment, and what it refers to that is nobody's."""
        about = f"Patient/{patient}".encode()
        found = [(f"{kind}/{name}", raw) for (kind, name), raw in self.resources.items()]
        return [
            (at, raw) for at, raw in found if at.encode() == about or about in raw or at.startswith("Practitioner/")
        ]


def outcome(status: int, text: str, **headers: str) -> Response:
    said = {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": "invalid", "diagnostics": text}],
    }
    return Response(json.dumps(said), status, headers, media_type=FHIR_JSON)


class _Server:
    def __init__(self, store: FhirStore) -> None:
        self._store = store

    def _checked(self, request: Request) -> Response | None:
        self._store.asked.append(f"{request.method} {request.url.path}?{request.url.query}")
        if request.headers.get("authorization") != f"Bearer {self._store.token}":
            return outcome(401, "no token")
        if self._store.busy:
            self._store.busy -= 1
            return outcome(429, "busy", **{"retry-after": "7"})
        return None

    def _page(self, found: list[tuple[str, bytes]], request: Request) -> Response:
        """Written by hand, so that the resources stay the bytes they were."""
        start = int(request.query_params.get("_at", "0"))
        entries = [
            b'{"fullUrl":"%s/%s", "resource":%s, "search":{"mode":"match"}}'
            % (self._store.url.encode(), at.encode(), raw)
            for at, raw in found[start : start + self._store.page]
        ]
        links = []
        if start + self._store.page < len(found):
            after = str(request.url.include_query_params(_at=start + self._store.page))
            links = [{"relation": "next", "url": self._store.next_at or after}]
        else:
            warning = {"resourceType": "OperationOutcome", "issue": []}
            entries.append(b'{"resource":%s,"search":{"mode":"outcome"}}' % json.dumps(warning).encode())
        head = {"resourceType": "Bundle", "type": "searchset", "total": len(found), "link": links}
        body = json.dumps(head)[:-1].encode() + b',"entry":[' + b",\n".join(entries) + b"]}"
        return Response(body, media_type=FHIR_JSON)

    async def search(self, request: Request) -> Response:
        if (refused := self._checked(request)) is not None:
            return refused
        kind, about = request.path_params["kind"], request.query_params.get("patient")
        found = [(f"{k}/{name}", raw) for (k, name), raw in self._store.resources.items() if k == kind]
        return self._page([one for one in found if about is None or f"Patient/{about}".encode() in one[1]], request)

    async def everything(self, request: Request) -> Response:
        return self._checked(request) or self._page(self._store.of(request.path_params["name"]), request)

    async def put(self, request: Request) -> Response:
        if (refused := self._checked(request)) is not None:
            return refused
        raw, kind, name = await request.body(), request.path_params["kind"], request.path_params["name"]
        resource = json.loads(raw)
        if (resource["resourceType"], resource["id"]) != (kind, name):
            return outcome(400, "the id differs from the address")
        created = (kind, name) not in self._store.resources
        self._store.resources[kind, name] = raw
        return Response(raw, 201 if created else 200, media_type=FHIR_JSON)

    async def transact(self, request: Request) -> Response:
        if (refused := self._checked(request)) is not None:
            return refused
        bundle = json.loads(await request.body())
        if bundle["type"] != "transaction":
            return outcome(400, "no transaction")
        answers = []
        for entry in bundle["entry"]:
            wanted, resource = entry["request"], entry["resource"]
            kind = resource["resourceType"]
            if kind == "AuditEvent":
                return outcome(422, "audit events are not taken here")
            name = wanted["url"].partition("/")[2] or f"made-{len(self._store.resources)}"
            status = "200 OK" if (kind, name) in self._store.resources else "201 Created"
            self._store.resources[kind, name] = json.dumps(resource).encode()
            answers.append({"response": {"status": status, "location": f"{kind}/{name}"}})
        said = {"resourceType": "Bundle", "type": "transaction-response", "entry": answers}
        return Response(json.dumps(said), media_type=FHIR_JSON)

    async def export(self, request: Request) -> Response:
        if (refused := self._checked(request)) is not None:
            return refused
        if request.headers.get("prefer") != "respond-async":
            return outcome(400, "Prefer: respond-async")
        number = str(len(self._store.exports))
        self._store.exports[number] = self._store.polls
        return Response(status_code=202, headers={"content-location": f"{self._store.url}/export/{number}"})

    async def export_status(self, request: Request) -> Response:
        number = request.path_params["number"]
        if (refused := self._checked(request)) is not None:
            return refused
        if request.method == "DELETE":
            del self._store.exports[number]
            return Response(status_code=202)
        if self._store.exports[number]:
            self._store.exports[number] -= 1
            return Response(status_code=202, headers={"retry-after": "11", "x-progress": "half"})
        kinds = sorted({kind for kind, _ in self._store.resources})
        manifest = {
            "transactionTime": "2026-01-01T00:00:00Z",
            "request": str(request.url),
            "requiresAccessToken": True,
            "output": [{"type": kind, "url": f"{self._store.url}/files/{kind}"} for kind in kinds],
            "error": [{"type": "OperationOutcome", "url": f"{self._store.url}/files/errors"}],
        }
        return Response(json.dumps(manifest), media_type="application/json")

    async def file(self, request: Request) -> Response:
        if (refused := self._checked(request)) is not None:
            return refused
        kind = request.path_params["kind"]
        lines = [json.dumps(json.loads(raw)) + "\n" for (k, _), raw in self._store.resources.items() if k == kind]
        return Response("".join(lines), media_type="application/fhir+ndjson")

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/fhir", self.transact, methods=["POST"]),
                Route("/fhir/$export", self.export),
                Route("/fhir/Group/{name}/$export", self.export),
                Route("/fhir/export/{number}", self.export_status, methods=["GET", "DELETE"]),
                Route("/fhir/files/{kind}", self.file),
                Route("/fhir/Patient/{name}/$everything", self.everything),
                Route("/fhir/{kind}", self.search),
                Route("/fhir/{kind}/{name}", self.put, methods=["PUT"]),
            ]
        )


@asynccontextmanager
async def serving(store: FhirStore) -> AsyncIterator[str]:
    """The server's address, for as long as the block runs."""
    listener, url = bind("127.0.0.1", 0)
    store.url = f"{url}/fhir"
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, _Server(store).app(), listener, trio.sleep_forever)
        yield store.url
        nursery.cancel_scope.cancel()
