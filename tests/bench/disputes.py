"""What a dispute costs: `python -m tests.bench.disputes [--entries N] [--channels N]`. One JSON object a line.

Proofs out of a stored log of many entries; the bytes, fee and CPU of each kind of evidence on the chain; and as many
channels closed stale in one window as asked for, each challenged and settled by the rules and the embedded engine.
"""

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from l1.ground.codec import encode
from l1.ground.merkle import Frontier, consistency_proof
from l1.ground.signing import Context, Purpose
from l1.node.engine import build, genesis_block
from l1.node.store import ChainStore
from l1.rules.commitment import Commitment, channel_id, sign_shape
from l1.rules.evidence import TwoWords
from l1.rules.fees import fee_of
from l1.rules.genesis import Parameters
from l1.rules.judge import Guilty, judge
from l1.rules.log.entries import Access, AccessTerms
from l1.rules.log.leaves import encode_parts, leaf_hashes
from l1.rules.transactions import Action, Challenge, Close, Report, Settle, Transfer, sign_transaction
from l2.protocol.batch import Salts, encode_batch
from l2.protocol.evidence import show
from l2.protocol.log import LogReader, tiles
from l2.protocol.rows import batch_key
from tests.stories.misdeeds import MISDEEDS, court
from tests.stories.world import Story
from tests.unit.l1.rules.world import World, admission, key_named
from tests.unit.l2.protocol.world import MemoryRows

BATCH = 1_000
FEES = Parameters(fee=1, fee_per_kib=1)


def proofs(entries: int) -> dict[str, Any]:
    """Inclusion and consistency proofs out of stored batches and tiles, each log position asked once: no warm cache."""
    rows, salts, frontier = MemoryRows(), Salts(b"bench", 0), Frontier()
    access = Access(time=1_750_000_000_000, grant=7)
    terms = AccessTerms(practitioner=b"p" * 16, role=0, purpose=0)
    publics, privates = encode_parts([access] * BATCH, [terms] * BATCH)
    signed = Story().commit(0)
    kept: list[tuple[bytes, bytes]] = []
    message = encode_batch(publics, privates, signed)
    for first in range(0, entries, BATCH):
        after, made = frontier.extend(leaf_hashes(publics, privates, salts.span(first, BATCH)))
        kept += [(batch_key(0, first), message), *tiles(0, frontier, made)]
        frontier = after
    rows.put(sorted(kept))
    gc.collect()
    gc.freeze()  # ten million entries in memory are this bench's own burden: a hospital keeps them in LMDB
    spent: dict[str, list[float]] = {"inclusion": [], "consistency": []}
    for at in range(40):
        reader = LogReader(rows, 0, salts)
        index = (at * 2_654_435_761 + 17) % frontier.size
        began = time.perf_counter()
        show(reader, index, frontier.size)
        spent["inclusion"].append(time.perf_counter() - began)
        began = time.perf_counter()
        consistency_proof(reader.node, index + 1, frontier.size)
        spent["consistency"].append(time.perf_counter() - began)
    figures = {f"{kind}_ms": round(median(each) * 1_000, 2) for kind, each in spent.items()}
    figures |= {f"{kind}_ms_worst": round(max(each) * 1_000, 2) for kind, each in spent.items()}
    return {"entries": frontier.size, **figures}


def costs() -> list[dict[str, Any]]:
    """One line a charge: bytes, fee, and the milliseconds that a judgement takes."""
    lines = []
    for misdeed in MISDEEDS:
        story = Story()
        evidence = misdeed(story)
        data = story.sign(story.registrar, Report(channel=story.id, evidence=evidence))
        here = court(story)
        assert isinstance(judge(evidence, here, story.tip.clock_ms), Guilty)
        lines.append(
            {
                "charge": misdeed.__name__,
                "evidence_bytes": len(encode(evidence)),
                "transaction_bytes": len(data),
                "fee": fee_of(FEES, len(data)),
                "judge_ms": _ms(lambda e=evidence, c=here, s=story: judge(e, c, s.tip.clock_ms)),  # type: ignore[misc]
            }
        )
    story = Story()
    words = story.commit(0)
    nothing = TwoWords(first=words, second=words)
    lines.append({"charge": "none: proves nothing", "judge_ms": _ms(lambda: judge(nothing, court(story), 1))})
    return lines


def _ms(work: Callable[[], object], times: int = 200) -> float:
    began = time.process_time()
    for _ in range(times):
        work()
    return round((time.process_time() - began) * 1_000 / times, 3)


def everybody_at_once(channels: int) -> dict[str, Any]:
    """Channels of one hospital: opened, closed stale, challenged and settled, by the embedded engine on disk."""
    world = World()
    a, b = world.a, world.b
    with tempfile.TemporaryDirectory() as folder:
        chain = _Engine(world, Path(folder))
        chain.take("admit", [(world.registrar, admission(who, chain=world.chain)) for who in (a, b)])
        chain.take("fund", [(world.registrar, Transfer(to=who.id, amount=400_000)) for who in (a, b)])
        openings = [world.opening(at, deposits=(10, 10), bond=10, expires=10**6) for at in range(channels)]
        chain.take("open", [(a.root, world.signed_opening(opening)) for opening in openings])
        ids = [channel_id(opening) for opening in openings]
        chain.take("close", [(a.root, Close(channel=each, own=None, peer=None, lost=False)) for each in ids])
        shown = [Challenge(channel=each, side=0, commitment=_newest(world, each)) for each in ids]
        chain.take("challenge", [(b.root, each) for each in shown])
        for _ in range(6):
            chain.take("wait", [])
        chain.take("settle", [(world.registrar, Settle(channel=each)) for each in ids])
        settled = {"gained": chain.credits(b.id) - 400_000, "bonds": 10 * channels}
    return {"channels": channels, **chain.spent, **settled}


def _newest(world: World, channel: bytes) -> Any:
    words = Commitment(
        version=1, chain=world.chain, channel=channel, side=0, size=9, root=bytes(32), spent=0, seen_size=0,
        seen_root=bytes(32), height=1,
    )  # fmt: skip
    return sign_shape(world.a.channel, 1, Purpose.COMMITMENT, Context(chain=world.chain, channel=channel), words)


class _Engine:
    """The embedded engine: a store on disk, blocks built and synced; CPU and wall time of each kind."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world, self._store = world, ChainStore(folder / "chain.mdb")
        first = genesis_block(world.genesis)
        self._store.append(first.block, first.writes, first.nodes, first.stale)
        self._nonces: dict[bytes, int] = {}
        self._time_ms = world.genesis.time_ms
        self.spent: dict[str, float] = {}

    def take(self, what: str, asked: list[tuple[Any, Action]]) -> None:
        waiting = []
        for key, action in asked:
            nonce = self._nonces.get(key.public_key, 0)
            self._nonces[key.public_key] = nonce + 1
            waiting.append(sign_transaction(key, self._world.chain, nonce, action))
        cpu, wall = time.process_time(), time.perf_counter()
        blocks = 0
        while waiting or not blocks:
            self._time_ms += 5_000 if what == "wait" else 100
            with self._store.snapshot() as snapshot:
                built = build(snapshot, key_named("authority"), waiting[:5_000], time_ms=self._time_ms)
            assert not built.refused, built.refused[0]
            self._store.append(built.block, built.writes, built.nodes, built.stale)
            waiting = waiting[len(built.block.transactions) :]
            blocks += 1
        if what not in ("wait", "admit", "fund"):
            self.spent[f"{what}_s"] = round(time.perf_counter() - wall, 2)
            self.spent[f"{what}_cpu_ms_each"] = round((time.process_time() - cpu) * 1_000 / max(len(asked), 1), 3)
            self.spent[f"{what}_blocks"] = blocks

    def credits(self, account: bytes) -> int:
        from l1.rules.state import account_key, decode_account

        with self._store.snapshot() as snapshot:
            row = snapshot.get(account_key(account))
        assert row is not None
        return int(decode_account(row).credits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=10_000_000, help="in the log that proofs are made of")
    parser.add_argument("--channels", type=int, default=1_000, help="closed stale in one window")
    asked = parser.parse_args()
    for line in (*costs(), everybody_at_once(asked.channels), proofs(asked.entries)):
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
