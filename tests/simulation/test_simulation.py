"""Worlds that must hold: the seeds that once failed, a few of every weather, one from the commit, and a crash at every
effect. Replay any of them with `python -m tests.simulation --seed N --weather W --events E`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.simulation.exhaustive import crash_everywhere
from tests.simulation.history import Task
from tests.simulation.mutants import CAUGHT_AT, MUTANTS, ROOT, Mutant, hunt
from tests.simulation.weather import KINDS, RARE

FAILED_ONCE = json.loads((Path(__file__).parent / "seeds.json").read_text())
COMMIT_WORLDS = 16  # whose seeds come from the commit: always the same ones for it, however fast the machine


@pytest.mark.parametrize("kept", FAILED_ONCE, ids=lambda kept: f"{kept['weather']}-{kept['seed']}")
def test_what_failed_once_holds_for_ever(kept: dict[str, Any]) -> None:
    task = Task(weather=kept["weather"], events=kept["events"], messages=kept["messages"])
    assert task.live(kept["seed"]).violation is None, kept["was"]


@pytest.mark.parametrize("weather", sorted(KINDS | RARE))
def test_every_weather_is_survived(weather: str) -> None:
    task = Task(weather=weather, events=40_000, messages=1_000)
    for seed in range(3):
        violation = task.live(str(seed)).violation
        assert violation is None, f"--seed {seed} {task.again()}: {violation}"


def test_worlds_of_this_commit_are_survived() -> None:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    seed = int(done.stdout.strip() or "0", 16) % 2**32
    task = Task(weather=None, events=40_000, messages=1_000)
    for number in range(seed, seed + COMMIT_WORLDS):
        violation = task.live(str(number)).violation
        assert violation is None, f"python -m tests.simulation --seed {number} {task.again()}: {violation}"


def test_a_crash_before_every_effect_hurts_nobody() -> None:
    reports = crash_everywhere(7)
    broken = [(at, report.violation) for at, report in enumerate(reports) if report.violation]
    assert not broken
    assert len(reports) > 30
    assert not reports[-1].crashed, "the bound was reached before an unhurt run"


def test_the_same_seed_is_the_same_history_whatever_the_hash_seed() -> None:
    hashes = set()
    for hash_seed, more in (("0", ("--jobs", "1")), ("1", ("--jobs", "1")), ("4242", ("--jobs", "2"))):
        command = [sys.executable, "-m", "tests.simulation", "--seed", "5", "--events", "20000", "--json", *more]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        hashes.add(json.loads(done.stdout)["hash"])
    assert len(hashes) == 1


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_caught(mutant: Mutant) -> None:
    """By the seed that is known to catch it, or by one of the next ones."""

    found = hunt(mutant, first=CAUGHT_AT.get(mutant.name, 1))
    assert found["checker"], f"{mutant.name} lives"
