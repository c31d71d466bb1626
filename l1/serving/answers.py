"""Answers in JSON."""

import msgspec
from starlette.responses import Response

__all__ = ["json_answer"]


def json_answer(content: object, status: int = 200) -> Response:
    """Anything that msgspec can write as JSON."""
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")
