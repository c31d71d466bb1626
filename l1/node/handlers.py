"""Who answers what is asked of the chain over HTTP: each handler reads one snapshot and formats it.

Waiting questions (`wait_ms`, events) cost a task and no thread. The table of what may be asked is `api`.
"""

from collections.abc import AsyncIterator, Callable
from typing import Annotated

import msgspec
import trio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from l1.ground.codec import decoder
from l1.ground.faults import Fault, Refused, require
from l1.ground.limits import ACCOUNT_BYTES, BLOCK_BYTES_MAX, HASH_BYTES, HEIGHT_MAX, TRANSACTION_BYTES_MAX
from l1.node import metrics, views
from l1.node.chain import Chain
from l1.node.views import JSON
from l1.reader.genesis_file import dump_genesis
from l1.rules import state
from l1.serving.answers import json_answer
from l1.serving.figures import FIGURES_TYPE
from l1.serving.requests import body_of, hex_in_path, number, unhex

__all__ = ["Handlers"]

WAIT_MS_MAX = 30_000  # one question is not held longer
HEADERS_PER_ANSWER = 1_000
BLOCKS_PER_ANSWER = 200
BLOCK_ANSWER_BYTES = 8 * 1024 * 1024  # stop adding blocks past this
ROWS_PER_ANSWER = 500
ROW_KEYS_BYTES_MAX = 64 * 1024  # 500 keys of a channel are 21 kB
LISTENERS_MAX = 256  # event streams at once
TURN = 50  # transactions of one batch before others get their turn
KEEP_ALIVE_S = 15.0  # a comment on a silent event stream, so that proxies keep it


RowKey = Annotated[bytes, msgspec.Meta(max_length=256)]
RowKeys = Annotated[tuple[RowKey, ...], msgspec.Meta(max_length=ROWS_PER_ANSWER)]
_decode_keys = decoder(RowKeys, bytes_max=ROW_KEYS_BYTES_MAX, what="array of row keys")
_decode_many = decoder(tuple[bytes, ...], bytes_max=BLOCK_BYTES_MAX, what="array of transactions")


class Handlers:
    """The handlers, over one chain."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._listeners = 0
        self._last_event = (0, b"")

    async def _wait(self, request: Request, is_ready: Callable[[], bool]) -> None:
        """Hold the question until it can be answered, at most `wait_ms`."""
        with trio.move_on_after(number(request, "wait_ms", 0, WAIT_MS_MAX) / 1000):
            while not is_ready() and not self.chain.is_closing:
                await self.chain.wait_change()

    async def status(self, _: Request) -> Response:
        tip = self.chain.tip
        return json_answer(
            {
                "chain": self.chain.id.hex(),
                "name": self.chain.genesis.name,
                "height": tip.height,
                "time_ms": tip.time_ms,
                "clock_ms": tip.clock_ms,
                "mempool": len(self.chain.pool),
                "role": "authority" if self.chain.is_proposing else "follower",
            }
        )

    async def genesis(self, _: Request) -> Response:
        return Response(dump_genesis(self.chain.genesis), media_type="application/json")

    async def submit(self, request: Request) -> Response:
        name = self.chain.submit(await body_of(request, TRANSACTION_BYTES_MAX))
        return json_answer({"id": name.hex()}, 202)

    async def submit_many(self, request: Request) -> Response:
        results: list[JSON] = []
        for data in _decode_many(await body_of(request, BLOCK_BYTES_MAX)):
            if len(results) % TURN == 0:
                await trio.lowlevel.checkpoint()
            try:
                results.append({"id": self.chain.submit(data).hex()})
            except Refused as refusal:
                results.append({"error": views.error_view(refusal)})
        return json_answer({"results": results}, 202)

    async def transaction(self, request: Request) -> Response:
        name = hex_in_path(request, "id", HASH_BYTES)
        chain = self.chain
        await self._wait(request, lambda: chain.find_place(name) is not None or chain.refusal(name) is not None)
        with chain.store.snapshot() as snapshot:
            place = snapshot.place(name)
            if place is not None:
                return json_answer(views.included_view(snapshot, place))
        refusal = chain.refusal(name)
        if refusal is not None:
            return json_answer({"status": "refused", "error": views.error_view(refusal)})
        return json_answer({"status": "pending" if name in chain.pool else "unknown"})

    async def headers(self, request: Request) -> Response:
        first = max(1, number(request, "from", 1, HEIGHT_MAX))
        count = number(request, "count", 100, HEADERS_PER_ANSWER)
        await self._wait(request, lambda: self.chain.tip.height >= first)
        with self.chain.store.snapshot() as snapshot:
            last = min(snapshot.height, first + count - 1)
            shown = [views.header_view(snapshot.signed_header(height)) for height in range(first, last + 1)]
        return json_answer({"headers": shown})

    async def blocks(self, request: Request) -> Response:
        first = max(1, number(request, "from", 1, HEIGHT_MAX))
        count = number(request, "count", 100, BLOCKS_PER_ANSWER)
        await self._wait(request, lambda: self.chain.tip.height >= first)
        shown: list[str] = []
        room = BLOCK_ANSWER_BYTES
        with self.chain.store.snapshot() as snapshot:
            for height in range(first, min(snapshot.height, first + count - 1) + 1):
                block = snapshot.block(height)
                assert block is not None
                shown.append(block.hex())
                room -= 2 * len(block)
                if room < 0:
                    break
        return json_answer({"blocks": shown})

    async def block(self, request: Request) -> Response:
        height: int = request.path_params["height"]
        with self.chain.store.snapshot() as snapshot:
            block = snapshot.block(height) if height <= HEIGHT_MAX else None
        if block is None:
            raise HTTPException(404, f"there is no block {height} yet")
        return json_answer(views.block_view(block))

    def _row(self, key: bytes) -> JSON:
        require(len(key) <= 256, Fault.MALFORMED, "a row's key has at most 256 bytes")
        with self.chain.store.snapshot() as snapshot:
            return views.row_view(snapshot, key)

    async def row(self, request: Request) -> Response:
        return json_answer(self._row(hex_in_path(request, "key")))

    async def rows(self, request: Request) -> Response:
        keys = _decode_keys(await body_of(request, ROW_KEYS_BYTES_MAX))
        with self.chain.store.snapshot() as snapshot:
            return json_answer(views.rows_view(snapshot, list(keys)))

    async def account(self, request: Request) -> Response:
        key = state.account_key(hex_in_path(request, "id", ACCOUNT_BYTES))
        waiting = self.chain.pool.get(key)
        next_nonce = 0 if waiting is None else state.decode_account(waiting).nonce
        return json_answer(self._row(key) | {"next_nonce": next_nonce})

    async def hospital(self, request: Request) -> Response:
        return json_answer(self._row(state.hospital_key(hex_in_path(request, "id", ACCOUNT_BYTES))))

    async def channel(self, request: Request) -> Response:
        return json_answer(self._row(state.channel_key(hex_in_path(request, "id", HASH_BYTES))))

    async def hospitals(self, request: Request) -> Response:
        after = unhex(request.query_params.get("after", ""), "after")
        with self.chain.store.snapshot() as snapshot:
            keys = snapshot.hospitals(after, number(request, "count", 100, ROWS_PER_ANSWER))
            return json_answer(views.rows_view(snapshot, keys))

    async def channels_of(self, request: Request) -> Response:
        hospital = hex_in_path(request, "id", ACCOUNT_BYTES)
        after = unhex(request.query_params.get("after", ""), "after")
        with self.chain.store.snapshot() as snapshot:
            keys = snapshot.channels_of(hospital, after, number(request, "count", 100, ROWS_PER_ANSWER))
            return json_answer(views.rows_view(snapshot, keys))

    async def events(self, request: Request) -> Response:
        require(self._listeners < LISTENERS_MAX, Fault.MEMPOOL_FULL, f"{LISTENERS_MAX} listeners are enough")
        seen = request.headers.get("last-event-id", "")
        height = int(seen) if seen.isdigit() and len(seen) < 16 else self.chain.tip.height
        return StreamingResponse(self._stream(height), media_type="text/event-stream")

    async def _stream(self, height: int) -> AsyncIterator[bytes]:
        """One event per block past `height`; a slow listener falls behind and costs no memory."""
        self._listeners += 1
        try:
            yield b": blocks\n\n"
            while True:
                while height < self.chain.tip.height:
                    height += 1
                    yield self._event(height)
                if self.chain.is_closing:
                    return
                with trio.move_on_after(KEEP_ALIVE_S) as pause:
                    await self.chain.wait_change()
                if pause.cancelled_caught:
                    yield b": still here\n\n"
        finally:
            self._listeners -= 1

    def _event(self, height: int) -> bytes:
        """Formatted once for all listeners."""
        if self._last_event[0] != height:
            self._last_event = (height, self._format_event(height))
        return self._last_event[1]

    def _format_event(self, height: int) -> bytes:
        with self.chain.store.snapshot() as snapshot:
            data = snapshot.block(height)
        assert data is not None
        block = views.block_view(data)
        told = {
            "height": height,
            "time_ms": block["decoded"]["time_ms"],
            "clock_ms": block["decoded"]["clock_ms"],
            "transactions": [{"id": t["id"], "kind": t["action"]["kind"]} for t in block["transactions"]],
            "header": block["header"],
        }
        return f"id: {height}\nevent: block\ndata: {msgspec.json.encode(told).decode()}\n\n".encode()

    async def metrics(self, _: Request) -> Response:
        return Response(metrics.figures(self.chain), media_type=FIGURES_TYPE)
