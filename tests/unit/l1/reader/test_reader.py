"""The reader believes what verifies, and nothing that a lying node says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from l1.ground.codec import encode
from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.limits import HEADER_AHEAD_MS_MAX
from l1.node.api import make_app
from l1.node.chain import Chain
from l1.reader import ChainUnreachable, HeaderFile, MemoryHeaders, Reader
from l1.rules import blocks
from l1.rules.state import account_key
from l1.rules.transactions import Transfer, transaction_id
from tests.idle import all_idle
from tests.unit.l1.world import (
    ALICE,
    AUTHORITY,
    BOB,
    TOTAL,
    Clock,
    account,
    asking,
    genesis,
    gift,
    open_chain,
    propose,
    reading,
)

Change = Callable[[dict[str, Any]], None]


class LyingNode(httpx.ASGITransport):
    """Passes questions to an honest node and changes its answers on the way back."""

    def __init__(self, chain: Chain, path: str, change: Change) -> None:
        super().__init__(app=make_app(chain))
        self._path, self._change = path, change

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await super().handle_async_request(request)
        if not request.url.path.startswith(self._path):
            return answer
        content = json.loads(await answer.aread())
        self._change(content)
        return httpx.Response(answer.status_code, json=content)


def lied_to(chain: Chain, clock: Clock, path: str, change: Change) -> Reader:
    client = httpx.AsyncClient(transport=LyingNode(chain, path, change))
    return Reader(chain.genesis, "http://chain", now_ms=clock, client=client)


def flip(text: str) -> str:
    """The same hex with one bit changed in the middle."""
    data = bytearray.fromhex(text)
    data[len(data) // 2] ^= 1
    return data.hex()


async def test_headers_are_verified_from_the_genesis_on(tmp_path: Path) -> None:
    clock = Clock()
    with open_chain(tmp_path) as chain:
        async with reading(chain, clock) as reader:
            assert (await reader.sync()).height == 0
            for nonce in range(3):
                await propose(chain, clock, gift(chain, nonce))
            assert await reader.sync() == chain.tip
            assert await reader.header_at(0) == reader.tip or reader.tip.height == 3
            assert (await reader.header_at(2)).height == 2
            with pytest.raises(LocalError):
                await reader.header_at(4)


async def test_accounts_are_proved_present_and_absent(tmp_path: Path) -> None:
    clock = Clock()
    with open_chain(tmp_path) as chain:
        async with reading(chain, clock) as reader:
            assert await reader.account(account(BOB)) is None
            await propose(chain, clock, gift(chain, 0, 9))
            alice, bob = await reader.account(account(ALICE)), await reader.account(account(BOB))
            assert alice is not None
            assert bob is not None
            assert (alice.credits, alice.nonce, bob.credits) == (TOTAL - 9, 1, 9)
            assert await reader.parameters() == chain.genesis.parameters
            assert await reader.hospital(bytes(20)) is None
            assert await reader.channel(bytes(32)) is None
            assert await reader.hospitals() == []
            assert await reader.channels_of(bytes(20)) == []


async def test_an_inclusion_is_verified(tmp_path: Path) -> None:
    clock = Clock()
    with open_chain(tmp_path) as chain:
        data = [gift(chain, nonce) for nonce in range(5)]
        await propose(chain, clock, *data)
        async with reading(chain, clock) as reader:
            for index, transaction in enumerate(data):
                included = await reader.wait_included(transaction_id(transaction), 1)
                assert (included.height, included.index) == (1, index)


async def test_send_signs_submits_and_waits(tmp_path: Path) -> None:
    clock = Clock()
    with open_chain(tmp_path) as chain:
        chain.is_proposing = True
        async with reading(chain, clock) as reader, trio.open_nursery() as nursery:

            async def make_one() -> None:
                await chain.wait_arrival()
                await propose(chain, clock)

            nursery.start_soon(make_one)
            included = await reader.send(ALICE, Transfer(to=account(BOB), amount=2), deadline_s=5)
            assert included.height == 1
            assert await reader.nonce(account(ALICE)) == 1


async def test_the_chains_refusal_arrives_as_it_was_raised(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain:
        chain.is_proposing = True
        async with reading(chain, Clock()) as reader:
            with pytest.raises(Refused) as caught:
                await reader.submit(gift(chain, 3))
            assert caught.value.fault is Fault.BAD_NONCE
            good, bad = await reader.submit_many([gift(chain, 0), gift(chain, 7)])
            assert good == transaction_id(gift(chain, 0))
            assert isinstance(bad, Refused)
            assert await reader.nonce(account(ALICE)) == 1


async def test_tasks_with_one_key_do_not_fight_for_nonces(tmp_path: Path) -> None:
    clock = Clock()
    with open_chain(tmp_path) as chain:
        chain.is_proposing = True
        async with reading(chain, clock) as reader:
            found: list[int] = []

            async def send_one() -> None:
                found.append((await reader.send(ALICE, Transfer(to=account(BOB), amount=1), deadline_s=5)).index)

            async with trio.open_nursery() as nursery:
                for _ in range(12):
                    nursery.start_soon(send_one)
                while len(chain.pool) < 12:
                    await trio.lowlevel.checkpoint()
                await propose(chain, clock)
            assert sorted(found) == list(range(12))


@pytest.mark.parametrize(
    ("field", "fault"),
    [("body", Fault.MALFORMED), ("signature", Fault.BAD_SIGNATURE)],
)
async def test_a_changed_header_is_refused(tmp_path: Path, field: str, fault: Fault) -> None:
    clock = Clock()

    def change(answer: dict[str, Any]) -> None:
        for header in answer["headers"]:
            header[field] = flip(header[field])

    with open_chain(tmp_path) as chain:
        await propose(chain, clock)
        async with lied_to(chain, clock, "/v1/headers", change) as reader:
            with pytest.raises(Refused) as caught:
                await reader.sync()
            assert caught.value.fault in (fault, Fault.BAD_SIGNATURE)
            assert reader.tip.height == 0


def _raise_value(answer: dict[str, Any]) -> None:
    answer["value"] = flip(answer["value"])


def _deny(answer: dict[str, Any]) -> None:
    answer["value"] = None


def _cut_proof(answer: dict[str, Any]) -> None:
    answer["proof"]["siblings"] = answer["proof"]["siblings"][:-1]


def _spoil_sibling(answer: dict[str, Any]) -> None:
    answer["proof"]["siblings"][0] = flip(answer["proof"]["siblings"][0])


def _no_hex(answer: dict[str, Any]) -> None:
    answer["proof"]["leaf"] = "not hex"


def _lift(answer: dict[str, Any]) -> None:
    answer["height"] += 5


def _go_back(answer: dict[str, Any]) -> None:
    answer["height"] = 0


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (_raise_value, Fault.BAD_PROOF),
        (_deny, Fault.BAD_PROOF),
        (_cut_proof, Fault.BAD_PROOF),
        (_spoil_sibling, Fault.BAD_PROOF),
        (_no_hex, Fault.MALFORMED),
        (_lift, Fault.UNKNOWN_HEAD),
        (_go_back, Fault.GOES_BACK),
    ],
)
async def test_a_lie_about_a_row_is_refused(tmp_path: Path, change: Change, fault: Fault) -> None:
    clock = Clock()
    with open_chain(tmp_path) as chain:
        await propose(chain, clock, gift(chain, 0))
        async with lied_to(chain, clock, "/v1/rows", change) as reader:
            with pytest.raises(Refused) as caught:
                await reader.account(account(ALICE))
            assert caught.value.fault is fault


async def test_the_row_of_another_account_is_refused(tmp_path: Path) -> None:
    clock = Clock()

    with open_chain(tmp_path) as chain:
        await propose(chain, clock, gift(chain, 0))
        other = (await asking(chain).get(f"/v1/rows/{account_key(account(BOB)).hex()}")).json()
        async with lied_to(chain, clock, "/v1/rows", lambda answer: answer.update(other)) as reader:
            with pytest.raises(Refused) as caught:
                await reader.account(account(ALICE))
            assert caught.value.fault is Fault.MALFORMED


async def test_an_inclusion_elsewhere_is_refused(tmp_path: Path) -> None:
    clock = Clock()

    def move(answer: dict[str, Any]) -> None:
        answer["index"] = 1 - answer["index"]

    with open_chain(tmp_path) as chain:
        data = gift(chain, 0)
        await propose(chain, clock, data, gift(chain, 1))
        async with lied_to(chain, clock, "/v1/transactions", move) as reader:
            with pytest.raises(Refused) as caught:
                await reader.find_transaction(transaction_id(data))
            assert caught.value.fault is Fault.BAD_PROOF


async def test_two_headers_at_one_height_are_a_fork_and_both_are_kept(tmp_path: Path) -> None:
    clock, other_clock = Clock(), Clock()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with open_chain(tmp_path / "a") as chain, open_chain(tmp_path / "b") as other:
        store = MemoryHeaders()
        await propose(chain, clock, gift(chain, 0))
        async with reading(chain, clock, store=store) as reader:
            await reader.sync()
        other_clock.ms += 7
        await propose(other, other_clock, gift(other, 0))
        await propose(other, other_clock)
        async with reading(other, other_clock, store=store) as reader:
            with pytest.raises(Refused) as caught:
                await reader.sync()
            assert caught.value.fault is Fault.FORK
            assert reader.fork is not None
            first, second = (blocks.open_header(s, reader.chain, AUTHORITY.public_key) for s in reader.fork)
            assert first.height == second.height == 1
            assert first != second


async def test_a_header_that_a_peer_shows_is_checked(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    clock = Clock()
    with open_chain(tmp_path) as chain:
        await propose(chain, clock)
        async with reading(chain, clock) as reader:
            assert reader.newest_signed() is None
            await reader.sync()
            shown = reader.newest_signed()
            assert shown is not None
            assert await reader.check_header(shown) == chain.tip
            forged = blocks.sign_header(AUTHORITY, blocks.Header(**_fields(chain.tip) | {"state": bytes(32)}))
            with pytest.raises(Refused) as caught:
                await reader.check_header(forged)
            assert caught.value.fault is Fault.FORK
            ahead = blocks.sign_header(AUTHORITY, blocks.Header(**_fields(chain.tip) | {"height": 9}))
            with pytest.raises(Refused) as caught:
                await reader.check_header(ahead)
            assert caught.value.fault is Fault.UNKNOWN_HEAD


def _fields(header: blocks.Header) -> dict[str, Any]:
    return {name: getattr(header, name) for name in header.__struct_fields__}


async def test_a_chain_that_runs_ahead_of_our_clock_is_refused(tmp_path: Path) -> None:
    clock, ours = Clock(), Clock()
    with open_chain(tmp_path) as chain:
        await propose(chain, clock)
        ours.ms = clock.ms - HEADER_AHEAD_MS_MAX
        async with reading(chain, ours) as reader:
            await reader.sync()
        ours.ms -= 1
        async with reading(chain, ours) as reader:
            with pytest.raises(Refused) as caught:
                await reader.sync()
            assert caught.value.fault is Fault.CLOCK


async def test_another_chain_is_noticed(tmp_path: Path) -> None:
    clock = Clock()
    with open_chain(tmp_path) as chain:
        await propose(chain, clock)
        async with reading(chain, clock, of=genesis(salt=9)) as reader:
            with pytest.raises(Refused) as caught:
                await reader.sync()
            assert caught.value.fault is Fault.BAD_SIGNATURE


async def test_a_file_of_headers_spares_the_way_from_the_genesis(tmp_path: Path) -> None:
    clock = Clock()
    with open_chain(tmp_path) as chain:
        for _ in range(3):
            await propose(chain, clock)
        file = HeaderFile(tmp_path / "headers")
        async with reading(chain, clock, store=file) as reader:
            await reader.sync()
        file.close()
        file = HeaderFile(tmp_path / "headers")
        async with reading(chain, clock, store=file) as reader:
            assert reader.tip == chain.tip
            signed = reader.newest_signed()
            assert signed is not None
            assert encode(signed) == file.get(3)
        file.close()


async def test_new_headers_are_waited_for(tmp_path: Path) -> None:
    clock = Clock()
    with open_chain(tmp_path) as chain:
        async with reading(chain, clock) as reader, trio.open_nursery() as nursery:
            seen: list[int] = []

            async def watch() -> None:
                while reader.tip.height < 2:
                    seen.append((await reader.next_header(reader.tip.height)).height)

            nursery.start_soon(watch)
            await all_idle()
            await propose(chain, clock)
            await all_idle()
            await propose(chain, clock)
        assert seen == [1, 2]


async def test_a_node_that_is_away_is_no_liar() -> None:
    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    def elsewhere(_: httpx.Request) -> httpx.Response:
        return httpx.Response(502, text="<html>")

    for handler in (away, elsewhere):
        client = httpx.AsyncClient(transport=httpx.MockTransport(handler))
        async with Reader(genesis(), "http://chain", now_ms=Clock(), client=client) as reader:
            with pytest.raises(ChainUnreachable) as caught:
                await reader.sync()
            assert caught.value.remedy


async def test_an_answer_that_is_no_json_is_refused() -> None:
    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, text="hello")))
    async with Reader(genesis(), "http://chain", now_ms=Clock(), client=client) as reader:
        with pytest.raises(Refused) as caught:
            await reader.status()
        assert caught.value.fault is Fault.MALFORMED
