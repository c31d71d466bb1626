"""`interward bench chain`: a real chain node: process, HTTP, mempool, blocks, sync.

Transfers of several accounts are signed beforehand, so that only the node and its door are measured.
"""

import time
from pathlib import Path
from typing import Any

import trio

from client.bench.checkpoints import measure_checkpoints
from client.bench.pair import percentile
from client.demo.world import open_world
from client.progress import Bars
from l1.ground.faults import Refused
from l1.ground.hashing import digest
from l1.ground.signing import PrivateKey
from l1.reader import Reader
from l1.rules.transactions import Transfer, account_of, sign_transaction

__all__ = ["bench_chain"]

SENDERS = 16
AT_ONCE = 100  # transactions in a request
LONE = 20
CHANNELS = 1_000  # settled in one transaction
GIFT = 1_000_000


async def bench_chain(folder: Path, transactions: int, *, bars: Bars) -> dict[str, Any]:
    """Transactions a second when handed in by hundreds, how long one alone takes into a verified block, and what it
    takes to settle many channels at once."""
    keys = [PrivateKey(digest(b"sender %d" % number)) for number in range(SENDERS)]
    each = max(1, transactions // SENDERS)
    async with open_world(folder) as world:
        with bars.stage("Start a chain"):
            await world.found_chain(follower=False)
            reader = world.reader
            for key in keys:
                await reader.send(world.registrar, Transfer(to=account_of(key.public_key), amount=GIFT))
            signed = [
                [sign_transaction(key, reader.chain, nonce, Transfer(to=bytes(20), amount=1)) for nonce in range(each)]
                for key in keys
            ]
        with bars.stage("Transfers"):
            began = time.perf_counter()
            async with trio.open_nursery() as nursery:
                for ready in signed:
                    nursery.start_soon(_submit, reader, ready)
            while (status := await reader.status()).mempool:
                await reader.next_header(status.height)
            seconds = time.perf_counter() - began
        settled = await measure_checkpoints(reader, world.registrar, CHANNELS, bars=bars)
        lone: list[float] = []
        with bars.stage("One by one", LONE) as advance:
            for _ in range(LONE):
                began = time.perf_counter()
                await reader.send(world.registrar, Transfer(to=bytes(20), amount=1))
                lone.append((time.perf_counter() - began) * 1000)
                advance()
    return {
        "transactions": each * SENDERS,
        "included_per_s": round(each * SENDERS / seconds),
        "block_ms": reader.genesis.parameters.block_ms,
        "lone_ms": {"p50": percentile(lone, 0.5), "p99": percentile(lone, 0.99)},
        "checkpoint": settled,
    }


async def _submit(reader: Reader, signed: list[bytes]) -> None:
    for start in range(0, len(signed), AT_ONCE):
        for answer in await reader.submit_many(signed[start : start + AT_ONCE]):
            if isinstance(answer, Refused):
                raise answer
