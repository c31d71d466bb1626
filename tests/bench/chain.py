"""Transactions a second through a real chain node: process, HTTP, mempool, blocks, sync. `python -m tests.bench.chain`.

Transfers of several accounts are signed beforehand, so that only the node and its door are measured.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio

from l1.ground.signing import PrivateKey
from l1.node.folder import REGISTRAR, open_key, read_genesis
from l1.reader import Reader
from l1.rules.transactions import Transfer, account_of, sign_transaction

PASSWORD = "bench"
SENDERS = 16


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def measure(folder: Path, url: str, count: int, batch: int) -> dict[str, float]:
    genesis = read_genesis(folder)
    registrar = open_key(folder, REGISTRAR, PASSWORD)
    keys = [PrivateKey((i + 1).to_bytes(32, "big")) for i in range(SENDERS)]
    async with Reader(genesis, url, now_ms=now_ms) as reader:
        for key in keys:
            await reader.send(registrar, Transfer(to=account_of(key.public_key), amount=1_000_000))
        each = count // SENDERS
        signed = [
            [sign_transaction(key, reader.chain, nonce, Transfer(to=bytes(20), amount=1)) for nonce in range(each)]
            for key in keys
        ]
        began = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for transactions in signed:
                nursery.start_soon(send_all, reader, transactions, batch)
        submitted = time.perf_counter()
        while (status := await reader.status()).mempool:
            await reader.next_header(status.height)
        ended = time.perf_counter()
        began_lone = time.perf_counter()
        for _ in range(10):
            await reader.send(registrar, Transfer(to=bytes(20), amount=1))
        lone_ms = (time.perf_counter() - began_lone) * 100
        total = each * SENDERS
        return {
            "transactions": total,
            "batch": batch,
            "submitted_per_s": round(total / (submitted - began)),
            "included_per_s": round(total / (ended - began)),
            "send_one_ms": round(lone_ms, 1),
        }


async def send_all(reader: Reader, transactions: list[bytes], batch: int) -> None:
    for start in range(0, len(transactions), batch):
        for result in await reader.submit_many(transactions[start : start + batch]):
            assert isinstance(result, bytes), result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=100, help="transactions a request")
    asked = parser.parse_args()
    environment = os.environ | {"INTERWARD_PASSWORD": PASSWORD}
    node = [sys.executable, "-m", "l1.node"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "chain"
        subprocess.run([*node, "init", "--folder", folder, "--name", "bench"], env=environment, check=True)
        with subprocess.Popen(
            [*node, "run", "--folder", folder, "--port", "0"], env=environment, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            print(json.dumps(trio.run(measure, folder, url, asked.transactions, asked.batch)))
            process.terminate()


if __name__ == "__main__":
    main()
