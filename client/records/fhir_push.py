"""Records into a FHIR server: a transaction for each record, in which what has an id is put there.

So the same record may be pushed again and again. Other things than FHIR have no place there, and are told. Source:
FHIR R4, section 3.1.0.11 (transaction).
"""

from typing import Any

import msgspec

from client.records.fhir_server import FhirServer
from l1.ground.faults import LocalError
from l2.records import identify, is_divisible, pieces_of, transaction

__all__ = ["NOT_FHIR", "push"]

NOT_FHIR = "no FHIR"


async def push(server: FhirServer, content: bytes, *, each: bool = False) -> tuple[int, str]:
    """How many resources the server has taken, and what it refused, or why nothing went.

    `each`: a request for each resource, for a server that takes no transactions.
    """
    info = identify(content)
    if not is_divisible(info.media_type):
        return 0, NOT_FHIR
    pieces = [piece for piece in pieces_of(content, info.media_type) if piece.outside.kind]
    if not pieces:
        return 0, "no resources inside"
    if not each:
        try:
            _, answer = await server.ask("POST", str(server.base).rstrip("/"), body=transaction(pieces))
        except LocalError as error:
            return 0, error.cause
        return _counted(answer, len(pieces))
    taken, refused = 0, ""
    for piece in pieces:
        kind, name = piece.outside.kind, piece.outside.id
        try:
            await server.ask("PUT" if name else "POST", f"{kind}/{name}".rstrip("/"), body=piece.slice.raw)
            taken += 1
        except LocalError as error:
            refused = refused or f"{kind}/{name}: {error.cause}"
    return taken, refused


def _counted(answer: bytes, sent: int) -> tuple[int, str]:
    """What a transaction's answer says of each entry; it should be all or nothing."""
    try:
        said: Any = msgspec.json.decode(answer)
        statuses = [str(entry["response"]["status"]) for entry in said["entry"]]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, KeyError, TypeError):
        return 0, "the server's answer is no transaction-response"
    taken = sum(status.startswith("2") for status in statuses)
    worst = next((status for status in statuses if not status.startswith("2")), "")
    if taken == sent:
        return taken, ""
    return taken, f"{sent - taken} resources not taken ({worst or 'no word of them'})"
