"""Who answers what a desk asks about keys. Nothing is decided here."""

from starlette.requests import Request
from starlette.responses import Response

from l1.ground.faults import Fault, require
from l1.ground.limits import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, TIME_MS_MAX
from l1.rules.transactions import KEY_KINDS, RECOVERY
from l1.serving.answers import json_answer
from l1.serving.requests import number
from l2.desk import key_words
from l2.node.affected import affected
from l2.node.api.asking import asked
from l2.node.exchange import Exchange
from l2.node.hospital import Hospital
from l2.node.keys import Terms
from l2.node.operations import Operations
from l2.node.views import key_views

__all__ = ["KeyHandlers"]

DAY_MS = 86_400_000


class KeyHandlers:
    """The handlers of `/v1/keys`, over one hospital."""

    def __init__(self, hospital: Hospital, exchange: Exchange, operations: Operations) -> None:
        self._hospital, self._exchange, self._operations = hospital, exchange, operations

    async def list(self, _: Request) -> Response:
        return json_answer(key_views(self._hospital))

    async def rotate(self, request: Request) -> Response:
        wanted = await asked(request, key_words.Rotate)
        valid_ms = None if wanted.valid_days is None else int(wanted.valid_days * DAY_MS)
        terms = Terms(valid_ms=valid_ms, replaces=not wanted.keep_old, hsm_key=wanted.hsm_key)
        return json_answer(await self._operations.rotation.rotate(KEY_KINDS[wanted.kind], terms))

    async def revoke(self, request: Request) -> Response:
        since_ms = (await asked(request, key_words.Revoke)).compromised_since_ms
        return json_answer(await self._operations.rotation.revoke(request.path_params["number"], since_ms))

    async def affected(self, request: Request) -> Response:
        since_ms = number(request, "since_ms", default=0, most=TIME_MS_MAX) or None
        found = await affected(self._hospital, self._exchange.grants, request.path_params["number"], since_ms)
        return json_answer(found)

    async def make_root(self, _: Request) -> Response:
        return json_answer(await self._operations.rotation.make_root())

    async def register_recovery(self, request: Request) -> Response:
        wanted = await asked(request, key_words.RegisterRecovery)
        key, possession = bytes.fromhex(wanted.key), bytes.fromhex(wanted.possession)
        whole = len(key) == PUBLIC_KEY_BYTES and len(possession) == SIGNATURE_BYTES
        require(whole, Fault.MALFORMED, "a recovery key has 33 bytes, its possession 64")
        return json_answer(await self._operations.rotation.register(RECOVERY, key, possession))
