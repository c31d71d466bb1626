"""The OpenAPI document and the reference page of an API that is open to all, both from its one table of endpoints."""

from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["Api", "Endpoint", "Parameter", "document", "reference_page"]

VERSION = "1.0.0"


class Api(NamedTuple):
    """What an API is: its title, the module with its table of endpoints, and what holds for all of them."""

    title: str
    source: str
    about: str


class Parameter(NamedTuple):
    """A query parameter."""

    name: str
    about: str
    kind: str = "integer"


class Endpoint(NamedTuple):
    """One thing that may be asked. `answer` maps the fields of the JSON answer to what they say."""

    method: str
    path: str
    handler: str
    about: str
    answer: dict[str, str]
    query: tuple[Parameter, ...] = ()
    status: int = 200
    media_type: str = "application/json"
    body: str = ""


ERROR = {
    "fault": "the fault's name, in words",
    "number": "its number, see docs/reference/faults.md",
    "detail": "what is wrong, in a sentence",
    "remedy": "what to do, where there is something to do",
}


def _path_parameters(path: str) -> list[str]:
    return [part[1:-1].partition(":")[0] for part in path.split("/") if part.startswith("{")]


def _schema(fields: dict[str, str]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"description": about} for name, about in fields.items()}}


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _path_parameters(endpoint.path)
    ]
    parameters += [
        {"name": p.name, "in": "query", "description": p.about, "schema": {"type": p.kind}} for p in endpoint.query
    ]
    content = {endpoint.media_type: {"schema": _schema(endpoint.answer) if endpoint.answer else {"type": "string"}}}
    error = {"application/json": {"schema": {"type": "object", "properties": {"error": _schema(ERROR)}}}}
    operation: dict[str, Any] = {
        "operationId": endpoint.handler,
        "summary": endpoint.about,
        "parameters": parameters,
        "responses": {
            str(endpoint.status): {"description": "the answer", "content": content},
            "400": {"description": "refused", "content": error},
        },
    }
    if endpoint.body:
        binary = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {
            "required": True,
            "description": endpoint.body,
            "content": {"application/octet-stream": binary},
        }
    return operation


def document(api: Api, endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        path = endpoint.path.replace(":int", "")
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint)
    info = {"title": api.title, "version": VERSION, "description": api.about, "license": {"name": "Apache-2.0"}}
    return {"openapi": "3.1.0", "info": info, "paths": paths}


def reference_page(api: Api, endpoints: Sequence[Endpoint]) -> str:
    """The same in Markdown."""
    lines = [f"# {api.title}: the HTTP API", "", f"Generated from `{api.source}` by `make docs`.", "", api.about, ""]
    for endpoint in endpoints:
        lines += [f"## {endpoint.method} {endpoint.path.replace(':int', '')}", "", f"{endpoint.about}.", ""]
        if endpoint.body:
            lines += [f"Body: {endpoint.body}.", ""]
        if endpoint.query:
            lines += ["| query | meaning |", "| --- | --- |"]
            lines += [f"| `{p.name}` | {p.about} |" for p in endpoint.query] + [""]
        if endpoint.answer:
            lines += [f"Answer ({endpoint.status}):", "", "| field | meaning |", "| --- | --- |"]
            lines += [f"| `{name}` | {about} |" for name, about in endpoint.answer.items()] + [""]
        else:
            lines += [f"Answer ({endpoint.status}): `{endpoint.media_type}`.", ""]
    lines += ["## Refusals", "", 'Status 400 or 404, `{"error": …}`:', "", "| field | meaning |", "| --- | --- |"]
    lines += [f"| `{name}` | {about} |" for name, about in ERROR.items()]
    return "\n".join(lines) + "\n"
