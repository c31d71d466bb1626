"""The OpenAPI document and the reference page, both from the one table of endpoints and the words' own schemas."""

from collections.abc import Sequence
from typing import Any

import msgspec

from l2.node.api.endpoints import Endpoint

__all__ = ["document", "reference_page"]

VERSION = "1.0.0"
ABOUT = (
    "The desk of one hospital, for its own programs alone: every request carries the token of `desk.token` as "
    "`Authorization: Bearer …`. Bytes are lower hex, times are milliseconds since the epoch, amounts are credits. A "
    "refusal is an `error` with the fault's name and number (0: the caller's own mistake), a detail and a remedy."
)
STATUSES = {
    "400": "refused: the question cannot be met as it is asked",
    "401": "the token is missing or wrong",
    "403": "refused: not granted, or not authorised",
    "404": "there is no such channel, hospital, key or page",
    "409": "refused: not in the phase that the channel or the grant is in",
    "503": "the hospital cannot do this now: ask again later",
}
ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "fault": {"type": "string", "description": "the fault's name, in words"},
                "number": {"type": "integer", "description": "its number, see docs/reference/faults.md"},
                "detail": {"type": "string", "description": "what is wrong, in a sentence"},
                "remedy": {"type": "string", "description": "what to do, where there is something to do"},
            },
        }
    },
}
_REFERENCE = "#/components/schemas/{name}"
_SPELLED = "application/json"
_MESSAGES = "each message is {}, each answer a text in JSON: the word, or an `error`"


def _path_parameters(path: str) -> list[tuple[str, str]]:
    """Name and type of each."""
    parts = [part[1:-1].partition(":") for part in path.split("/") if part.startswith("{")]
    return [(name, "integer" if kind == "int" else "string") for name, _, kind in parts]


def _schemas(endpoints: Sequence[Endpoint]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """The schema of everything asked and answered, and the components that they refer to."""
    shapes = [shape for endpoint in endpoints for shape in (endpoint.ask, endpoint.answer) if shape]
    unique = list({str(shape): shape for shape in shapes}.values())
    schemas, components = msgspec.json.schema_components(unique, ref_template=_REFERENCE)
    return {str(shape): schema for shape, schema in zip(unique, schemas, strict=True)}, components


def _schema(shape: Any, media_type: str, schemas: dict[Any, Any]) -> dict[str, Any]:
    if media_type != _SPELLED:
        return {"type": "string"} if media_type.startswith("text/") else {"type": "string", "format": "binary"}
    schema: dict[str, Any] = schemas[str(shape)] if shape else {"type": "object"}
    return schema


def _operation(endpoint: Endpoint, schemas: dict[Any, Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": kind}}
        for name, kind in _path_parameters(endpoint.path)
    ]
    parameters += [
        {"name": query.name, "in": "query", "description": query.about, "schema": {"type": query.kind}}
        for query in endpoint.query
    ]
    answer = {endpoint.answer_type: {"schema": _schema(endpoint.answer, endpoint.answer_type, schemas)}}
    error = {_SPELLED: {"schema": ERROR}}
    done = {"200": {"description": "the answer", "content": answer}}
    if endpoint.is_stream:
        done = {"101": {"description": f"a WebSocket; {_MESSAGES.format(endpoint.body)}", "content": answer}}
    operation: dict[str, Any] = {
        "operationId": endpoint.handler,
        "summary": endpoint.about,
        "parameters": parameters,
        "responses": done | {status: {"description": about, "content": error} for status, about in STATUSES.items()},
    }
    if (endpoint.ask or endpoint.body) and not endpoint.is_stream:
        content = {endpoint.body_type: {"schema": _schema(endpoint.ask, endpoint.body_type, schemas)}}
        operation["requestBody"] = {"required": True, "description": endpoint.body, "content": content}
    return operation


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    schemas, components = _schemas(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        path = endpoint.path.replace(":int", "")
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Interward hospital", "version": VERSION, "description": ABOUT}
        | {"license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "security": [{"token": []}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _shape_name(shape: Any) -> str:
    """What a person calls it: `Status`, or `a list of KeyView`."""
    arguments = getattr(shape, "__args__", None)
    if arguments and getattr(shape, "__origin__", None) is list:
        return f"a list of {_shape_name(arguments[0])}"
    name = getattr(shape, "__name__", "")
    return f"[`{name}`](#{name.lower()})" if name and name[0].isupper() else "an object"


def _section(endpoint: Endpoint) -> list[str]:
    method = "WebSocket" if endpoint.is_stream else endpoint.method
    lines = [f"## {method} {endpoint.path.replace(':int', '')}", "", f"{endpoint.about}.", ""]
    if endpoint.ask or endpoint.body:
        said = "Message" if endpoint.is_stream else "Body"
        lines += [
            f"{said}: {_shape_name(endpoint.ask) if endpoint.ask else endpoint.body} (`{endpoint.body_type}`).",
            "",
        ]
    if endpoint.query:
        lines += ["| query | meaning |", "| --- | --- |"]
        lines += [f"| `{query.name}` | {query.about} |" for query in endpoint.query] + [""]
    spelled = endpoint.answer_type == _SPELLED
    return [*lines, f"Answer: {_shape_name(endpoint.answer) if spelled else f'`{endpoint.answer_type}`'}.", ""]


def _type_name(schema: dict[str, Any]) -> str:
    """A field's type in a word or two."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[`{name}`](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type_name(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    if schema.get("type") == "array":
        items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
        return f"list of {_type_name(items)}"
    if schema.get("pattern", "").startswith("^([0-9a-f]"):
        return "hex"
    return str(schema.get("type", "any"))


def _word(name: str, schema: dict[str, Any]) -> list[str]:
    lines = [f"### {name}", ""]
    if about := schema.get("description"):
        lines += [" ".join(about.split()), ""]
    needed = set(schema.get("required", ()))
    lines += ["| field | type | |", "| --- | --- | --- |"]
    lines += [
        f"| `{field}` | {_type_name(kind)} | {'' if field in needed else 'optional'} |"
        for field, kind in schema.get("properties", {}).items()
    ]
    return [*lines, ""]


def reference_page(endpoints: Sequence[Endpoint]) -> str:
    """The same in Markdown."""
    lines = ["# The hospital's HTTP API", "", "Generated from `l2/node/api/endpoints.py`; do not edit.", "", ABOUT, ""]
    for endpoint in endpoints:
        lines += _section(endpoint)
    lines += ["## Words", ""]
    for name, schema in sorted(_schemas(endpoints)[1].items()):
        lines += _word(name, schema)
    lines += ["## Refusals", "", "| status | meaning |", "| --- | --- |"]
    lines += [f"| {status} | {about} |" for status, about in STATUSES.items()]
    return "\n".join(lines) + "\n"
