"""Worlds that must hold: the seeds that once failed, a few of every weather, one from the commit, and a crash at every
effect. Replay any of them with `python -m tests.simulation --seed N --weather W --events E`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.exhaustive import crash_everywhere
from tests.simulation.mutants import CAUGHT_AT, MUTANTS, ROOT, Mutant, hunt
from tests.simulation.seasons import live
from tests.simulation.weather import KINDS
from tests.simulation.world import World

FAILED_ONCE = json.loads((Path(__file__).parent / "seeds.json").read_text())
COMMIT_WORLDS = 20  # whose seeds come from the commit: always the same ones for it, however fast the machine


@pytest.mark.parametrize("kept", FAILED_ONCE, ids=lambda kept: f"{kept['weather']}-{kept['seed']}")
def test_what_failed_once_holds_for_ever(kept: dict[str, int | str]) -> None:
    world = World(int(kept["seed"]), weather=str(kept["weather"]))
    assert live(world, events=int(kept["events"])).violation is None, kept["was"]


@pytest.mark.parametrize("weather", sorted(KINDS))
def test_every_weather_is_survived(weather: str) -> None:
    for seed in range(3):
        assert live(World(seed, weather=weather), events=6_000).violation is None, (weather, seed)


def test_worlds_of_this_commit_are_survived() -> None:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    seed = int(done.stdout.strip() or "0", 16) % 2**32
    for number in range(seed, seed + COMMIT_WORLDS):
        report = live(World(number), events=8_000)
        assert report.violation is None, f"python -m tests.simulation --seed {number} --events 8000: {report.violation}"


def test_a_crash_before_every_effect_hurts_nobody() -> None:
    reports = crash_everywhere(7)
    broken = [(at, report.violation) for at, report in enumerate(reports) if report.violation]
    assert not broken
    assert len(reports) > 30
    assert not reports[-1].crashed, "the bound was reached before an unhurt run"


def test_the_same_seed_is_the_same_history_whatever_the_hash_seed() -> None:
    hashes = set()
    for hash_seed in ("0", "1", "4242"):
        command = [sys.executable, "-m", "tests.simulation", "--seed", "5", "--events", "6000", "--json"]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        hashes.add(json.loads(done.stdout)["hash"])
    assert len(hashes) == 1


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_caught(mutant: Mutant) -> None:
    """By the seed that is known to catch it, or by one of the next ones."""

    found = hunt(mutant, first=CAUGHT_AT.get(mutant.name, 1))
    assert found["checker"], f"{mutant.name} lives"
