"""The HTTP API: its answers, its refusals, its document."""

from pathlib import Path
from typing import Any

import pytest
import trio
from starlette.requests import Request

from l1.ground.codec import encode
from l1.ground.faults import Fault, Refused
from l1.ground.limits import TRANSACTION_BYTES_MAX
from l1.node.api import ENDPOINTS
from l1.node.handlers import Handlers
from l1.rules.blocks import decode_block
from l1.rules.transactions import transaction_id
from l1.serving.requests import body_of
from tests.idle import all_idle
from tests.unit.l1.world import ALICE, BOB, TOTAL, Clock, account, asking, gift, open_chain, propose

ROOT = Path(__file__).parents[4]


async def test_status_tells_how_the_chain_stands(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain:
        await propose(chain, Clock(), gift(chain, 0))
        chain.submit(gift(chain, 1))
        status = (await asking(chain).get("/v1/status")).json()
        assert status["chain"] == chain.id.hex()
        assert (status["height"], status["mempool"], status["role"]) == (1, 1, "authority")


async def test_a_transaction_is_pending_then_included(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain:
        node = asking(chain)
        chain.is_proposing = True
        data = gift(chain, 0)
        answer = await node.post("/v1/transactions", content=data)
        assert answer.status_code == 202
        name = answer.json()["id"]
        assert name == transaction_id(data).hex()
        assert (await node.get(f"/v1/transactions/{name}")).json() == {"status": "pending"}
        await propose(chain, Clock())
        included = (await node.get(f"/v1/transactions/{name}")).json()
        assert included["status"] == "included"
        assert (included["height"], included["index"], included["item"]) == (1, 0, data.hex())
        assert (await node.get(f"/v1/transactions/{'00' * 32}")).json() == {"status": "unknown"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "fault"),
    [
        ("POST", "/v1/transactions", b"\x00", 400, Fault.MALFORMED),
        ("POST", "/v1/transactions/batch", b"\xc0", 400, Fault.MALFORMED),
        ("GET", "/v1/transactions/xyz", None, 400, Fault.MALFORMED),
        ("GET", "/v1/transactions/ABCD", None, 400, Fault.MALFORMED),
        ("GET", "/v1/accounts/00", None, 400, Fault.MALFORMED),
        ("GET", "/v1/headers?from=-1", None, 400, Fault.MALFORMED),
        ("GET", "/v1/headers?count=many", None, 400, Fault.MALFORMED),
        ("GET", "/v1/blocks/99", None, 404, Fault.UNEXPECTED),
        ("GET", "/v1/blocks/999999999999999999999999999", None, 404, Fault.UNEXPECTED),
        ("GET", f"/v1/rows/{'00' * 300}", None, 400, Fault.MALFORMED),
        ("GET", "/nothing", None, 404, Fault.UNEXPECTED),
        ("DELETE", "/v1/status", None, 405, Fault.UNEXPECTED),
    ],
)
async def test_bad_questions_get_a_named_fault(
    tmp_path: Path, method: str, path: str, body: bytes | None, status: int, fault: Fault
) -> None:
    with open_chain(tmp_path) as chain:
        chain.is_proposing = True
        answer = await asking(chain).request(method, path, content=body)
        assert answer.status_code == status
        error = answer.json()["error"]
        assert error["number"] == fault
        assert error["detail"]
        assert set(error) == {"fault", "number", "detail", "remedy"}


async def test_a_body_is_refused_as_soon_as_it_grows_too_large() -> None:
    parts = 0

    async def receive() -> dict[str, Any]:
        nonlocal parts
        parts += 1
        return {"type": "http.request", "body": bytes(TRANSACTION_BYTES_MAX // 2), "more_body": True}

    with pytest.raises(Refused) as caught:
        await body_of(Request({"type": "http", "method": "POST", "headers": []}, receive), TRANSACTION_BYTES_MAX)
    assert caught.value.fault is Fault.TOO_LARGE
    assert parts == 3


async def test_a_batch_stands_or_falls_one_by_one(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain:
        chain.is_proposing = True
        good, bad = gift(chain, 0), gift(chain, 5)
        answer = await asking(chain).post("/v1/transactions/batch", content=encode((good, bad)))
        first, second = answer.json()["results"]
        assert first == {"id": transaction_id(good).hex()}
        assert second["error"]["number"] == Fault.BAD_NONCE
        assert second["error"]["remedy"]


async def test_rows_come_with_a_view_in_words(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain:
        chain.is_proposing = True
        chain.submit(gift(chain, 0))
        answer = (await asking(chain).get(f"/v1/accounts/{account(ALICE).hex()}")).json()
        assert answer["decoded"] == {"credits": TOTAL, "nonce": 0}
        assert answer["next_nonce"] == 1
        absent = (await asking(chain).get(f"/v1/accounts/{account(BOB).hex()}")).json()
        assert absent["value"] is None
        parameters = (await asking(chain).get(f"/v1/rows/{b'parameters'.hex()}")).json()
        assert parameters["decoded"]["heartbeat_ms"] == chain.genesis.parameters.heartbeat_ms


async def test_blocks_come_as_bytes_and_in_words(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain:
        clock = Clock()
        await propose(chain, clock, gift(chain, 0, 3))
        await propose(chain, clock)
        block = (await asking(chain).get("/v1/blocks/1")).json()
        assert block["transactions"][0]["action"] == {"kind": "transfer", "to": account(BOB).hex(), "amount": 3}
        assert block["transactions"][0]["account"] == account(ALICE).hex()
        assert decode_block(bytes.fromhex(block["block"])).transactions == (gift(chain, 0, 3),)
        blocks = (await asking(chain).get("/v1/blocks?from=1&count=10")).json()["blocks"]
        assert blocks[0] == block["block"]
        assert len(blocks) == 2


async def test_a_question_can_wait_for_the_next_block(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain:
        answers: list[Any] = []

        async def ask() -> None:
            answers.append((await asking(chain).get("/v1/headers?from=1&wait_ms=30000")).json())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await all_idle()
            assert answers == []
            await propose(chain, Clock())
        assert len(answers[0]["headers"]) == 1


async def test_events_tell_each_block_once(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain:
        clock = Clock()
        handlers = Handlers(chain)
        stream = handlers._stream(0)
        assert await anext(stream) == b": blocks\n\n"
        await propose(chain, clock, gift(chain, 0))
        await propose(chain, clock)
        first, second = await anext(stream), await anext(stream)
        assert first.startswith(b"id: 1\nevent: block\ndata: {")
        assert b'"kind":"transfer"' in first
        assert second.startswith(b"id: 2\n")
        chain.close()
        assert [part async for part in stream] == []


async def test_metrics_and_document_are_served(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain:
        assert "interward_chain_height 0.0" in (await asking(chain).get("/metrics")).text
        document = (await asking(chain).get("/openapi.json")).json()
        assert document["openapi"].startswith("3.1")
        assert set(document["paths"]) == {e.path.replace(":int", "") for e in ENDPOINTS}
        assert (await asking(chain).get("/v1/genesis")).json()["chain"] == chain.id.hex()
