"""How commands find a FHIR server. Tokens come from files and the environment, never from arguments."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from client.records.fhir_server import FhirServer
from l1.ground.faults import LocalError

__all__ = ["fhir_options", "fhir_server"]

TOKEN = "INTERWARD_FHIR_TOKEN"

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--fhir", metavar="URL", help="A FHIR R4 server, as https://ehr.example/fhir."),
    click.option(
        "--token-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help=f"The server's bearer token.  [env: {TOKEN} holds the token itself]",
    ),
    click.option(
        "--ca",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="Certificates (PEM) to trust instead of the system's.",
    ),
)


def fhir_options(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def fhir_server(url: str, token_file: Path | None, ca: Path | None) -> FhirServer:
    """Raises `LocalError`."""
    token = os.environ.get(TOKEN, "")
    if token_file is not None:
        try:
            token = token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise LocalError(f"{token_file} cannot be read ({error})", "It holds the token and nothing else.") from None
    if not token.isascii() or not token.isprintable():
        raise LocalError("the FHIR server's token is no token", "It is one line of letters and digits.")
    return FhirServer(url, token, ca=ca)
