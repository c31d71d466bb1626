"""Prove the auditor: bugs are planted in the product, one by one, and each must be caught within a few seeds.

A mutant is one change of a source text, made while a fresh process imports it: nothing on disk changes. What is
printed: its name, the seed that caught it, and the rule of the auditor that it broke.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

__all__ = ["CAUGHT_AT", "MUTANTS", "Mutant", "hunt"]

ROOT = Path(__file__).resolve().parents[2]
CAUGHT_AT: dict[str, int] = json.loads((Path(__file__).parent / "caught.json").read_text())
SEEDS = 12  # a mutant that lives so long is not caught
EVENTS = 30_000
MESSAGES = 1_200
TIMEOUT_S = 100


@dataclass(frozen=True)
class Mutant:
    """`old` stands exactly once in the file; `new` takes its place. Its seeds are tried in this weather."""

    name: str
    file: str
    old: str
    new: str
    weather: str = "everything"


MUTANTS = (
    Mutant(
        "send before sync",
        "tests/simulation/keeper.py",
        "        self.node.commit(self, rows, effects)",
        "        for each in effects:\n            if isinstance(each, Send):\n"
        "                self.node.say(self, each)\n"
        "        self.node.commit(self, rows, [each for each in effects if not isinstance(each, Send)])",
        "power",
    ),
    Mutant(
        "skip a size check",
        "l2/protocol/receiver.py",
        "if commitment.size <= channel.peer.size:",
        "if commitment.size < 0:",
        "power",
    ),
    Mutant(
        "forget the window of batches",
        "l2/protocol/writer.py",
        " and len(channel.under_way) < WINDOW_BATCHES",
        "",
        "lines",
    ),
    Mutant(
        "accept an equal size with another root",
        "l2/protocol/cases.py",
        "    if held is not None:\n        detail",
        "    if False:\n        detail",
        "betrayal",
    ),
    Mutant(
        "ignore what was seen",
        "l1/rules/log/judgements.py",
        "if mark & HAS_ENDED and peer.endings[grant_index] < seen:",
        "if mark & HAS_ENDED:",
        "lines",
    ),
    Mutant(
        "sign before the resume",
        "l2/protocol/channel.py",
        "return self.resumed and self.phase is Phase.OPEN",
        "return self.phase is Phase.OPEN",
        "operators",
    ),
    Mutant(
        "count the newest spent, not the greatest",
        "l1/rules/shown.py",
        "    if commitment.spent <= channel.sides[commitment.side].spent:\n        return channel\n",
        "",
        "betrayal",
    ),
    Mutant(
        "raise a floor from a private head",
        "l1/rules/channels.py",
        "if c.side == side and c.head in acknowledged]",
        "if c.side == side]",
        "betrayal",
    ),
    Mutant(
        "sign after closing",
        "l2/protocol/channel.py",
        "return self.resumed and self.phase is Phase.OPEN and",
        "return self.resumed and self.phase in (Phase.OPEN, Phase.CLOSING) and",
        "operators",
    ),
    Mutant(
        "take a damaged row for its value",
        "l2/protocol/rows.py",
        "return value if stored[-_CHECK_BYTES:] == _check(place, value) else None",
        "return value",
        "disks",
    ),
    Mutant(
        "treat a void entry as standing",
        "l1/rules/log/standing.py",
        "marks[index] & (KIND | VOID) == kind",
        "marks[index] & KIND == kind",
        "betrayal",
    ),
    Mutant(
        "do not challenge",
        "l2/protocol/watch.py",
        " + challenge(channel)\n",
        "\n",
        "betrayal",
    ),
    Mutant(
        "lose rows that were acknowledged",
        "l2/protocol/receiver.py",
        "effects: list[Effect] = [channel.persist(rows), ",
        "channel.rows.put(rows)\n    effects: list[Effect] = [",
        "power",
    ),
    Mutant(
        "resume without raising the floor",
        "l2/protocol/resume.py",
        "change(channel, peer_floor=height)",
        "change(channel, peer_floor=channel.row.peer_floor)",
        "power",
    ),
    Mutant(
        "forget the challenge window",
        "l1/rules/closing.py",
        "    require(left_ms <= 0, Fault.WINDOW_OPEN,",
        "    require(True, Fault.WINDOW_OPEN,",
        "betrayal",
    ),
    Mutant(
        "pay out what nobody has",
        "l1/rules/closing.py",
        "return share + bonds[0], both - share + bonds[1]",
        "return share + bonds[0], second.deposit + bonds[1]",
        "fine",
    ),
    Mutant(
        "skip the spent check",
        "l2/protocol/receiver.py",
        "        log.spent == commitment.spent, Fault.WRONG_SPENT",
        "        True, Fault.WRONG_SPENT",
        "betrayal",
    ),
    Mutant(
        "overlook an access after its end",
        "l2/protocol/receiver.py",
        "return effects + void_accesses(channel, batch.commitment, first, entries, voids) if voids else effects",
        "return effects",
        "betrayal",
    ),
    Mutant(
        "keep proof to oneself",
        "l2/protocol/cases.py",
        "    if row is None or channel.height < channel.report_again_at or",
        "    if channel.height >= 0 or row is None or",
        "betrayal",
    ),
    Mutant(
        "take a head signed again for damage",
        "l2/protocol/stored.py",
        "ends = _words(last) == _words(head.signed)",
        "ends = last == head.signed",
        "keys",
    ),
    Mutant(
        "let a new root key act at once",
        "l1/rules/registry.py",
        "    waits = action.kind in (ROOT, RECOVERY)",
        "    waits = False",
        "keys",
    ),
    Mutant(
        "let a root key act that gave way",
        "l1/rules/keys.py",
        "    return key.kind == ROOT and any(\n",
        "    return False and any(\n",
        "keys",
    ),
    Mutant(
        "sign with an older key once the newest is over",
        "l1/rules/keys.py",
        "        and key.valid_from_ms <= clock_ms\n        and not",
        "        and key.valid_from_ms <= clock_ms\n        and key.revoked_at_ms is None\n        and not",
        "keys",
    ),
    Mutant(
        "take minutes-old rows for whole",
        "l2/protocol/age.py",
        "channel.is_copy = channel.is_copy or channel.clock_ms > channel.alive_ms + STALE_MS",
        "pass",
        "copies",
    ),
    Mutant(
        "show words that a resume of one's own made void",
        "l2/protocol/cases.py",
        "    if channel.l1 is None:\n        return False\n    said =",
        "    if channel.height >= 0:\n        return False\n    said =",
        "copies",
    ),
    Mutant(
        "fall over a type that nobody knows",
        "l2/protocol/step.py",
        "            raise Refused(Fault.UNEXPECTED, f",
        "            raise ValueError(f",
        "garbage",
    ),
    Mutant(
        "tower challenges with an older commitment",
        "l2/tower/judging.py",
        "if posted < held:",
        "if posted != held:",
        "absence",
    ),
    Mutant(
        "tower ignores a close of the other side",
        "l2/tower/judging.py",
        "elif row.phase == Phase.CLOSING and held is not None:",
        "elif row.phase == Phase.CLOSING and held is not None and row.closer != key[32]:",
        "absence",
    ),
    Mutant(
        "tower takes anybody's words for the peer's",
        "l2/tower/admission.py",
        "    commitment = open_commitment(handed.commitment, Context(chain=chain, channel=handed.channel), public)\n",
        "    commitment = decode_commitment(handed.commitment.body)\n",
        "absence",
    ),
    Mutant(
        "tower forgets what its hospital handed over",
        "l2/tower/judging.py",
        "        book.forget(key)\n    elif",
        "        book.forget(key)\n    elif row.phase == Phase.OPEN:\n        book.forget(key)\n    elif",
        "absence",
    ),
    Mutant(
        "forget that a disk may have promised",
        "l2/protocol/channel.py",
        "channel.trusted = None if fresh else channel.peer.size",
        "channel.trusted = None",
        "promises",
    ),
    Mutant(
        "promise what lies ahead",
        "l2/protocol/step.py",
        "channel.asked is None or channel.asked > channel.height",
        "channel.asked is None",
        "promises",
    ),
)


def plant(mutant: Mutant) -> None:
    """From here on this process imports the mutant. Nothing of the product may have been imported yet."""
    loaded = [name for name in sys.modules if name.split(".")[0] in ("l1", "l2") or name == "tests.simulation.world"]
    assert not loaded, f"imported too early: {loaded}"
    sys.dont_write_bytecode = True
    wanted = str(ROOT / mutant.file)
    genuine = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> Any:
        if self.path != wanted:
            return genuine(self, fullname)
        text = Path(wanted).read_text()
        assert text.count(mutant.old) == 1, f"{mutant.name}: the text is not there once"
        return self.source_to_code(text.replace(mutant.old, mutant.new).encode(), wanted)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]


def live_with(mutant: Mutant, first: int, seeds: int) -> dict[str, Any]:
    """Worlds with the mutant in it, until one is caught."""
    plant(mutant)
    from tests.simulation.seasons import live
    from tests.simulation.world import World

    for seed in range(first, first + seeds):
        report = live(World(seed, weather=mutant.weather), events=EVENTS, messages=MESSAGES)
        if report.checker is not None:
            return {"name": mutant.name, "seed": seed, "checker": report.checker, "events": report.events}
    return {"name": mutant.name, "seed": None, "checker": None, "events": 0}


def hunt(mutant: Mutant, first: int = 1, seeds: int = SEEDS) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "tests.simulation.mutants", "--only", mutant.name, "--json"]
    command += ["--seed", str(first), "--seeds", str(seeds)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"name": mutant.name, "seed": None, "checker": None, "events": 0}
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("--only", choices=[mutant.name for mutant in MUTANTS])
    parser.add_argument("--seed", type=int, help="the first seed; by default one that is known to catch it soon")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--json", action="store_true", help="live in this very process, and print one object")
    options = parser.parse_args()
    wanted = [mutant for mutant in MUTANTS if options.only in (None, mutant.name)]
    if options.json:
        print(json.dumps(live_with(wanted[0], options.seed or 1, options.seeds)))
        return 0
    alive = 0
    for mutant in wanted:
        begin = CAUGHT_AT.get(mutant.name, 1) if options.seed is None else options.seed
        found = hunt(mutant, begin, options.seeds)
        alive += found["seed"] is None
        caught = f"seed {found['seed']}: {found['checker']}" if found["checker"] else "NOT CAUGHT"
        print(f"{mutant.name:42} {caught}", flush=True)
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
