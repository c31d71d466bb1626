"""The hospital's desk over HTTP: starlette on hypercorn, JSON, a bearer token. Front door."""

from l2.node.api.server import check_token, make_app, serve_desk

__all__ = ["check_token", "make_app", "serve_desk"]
