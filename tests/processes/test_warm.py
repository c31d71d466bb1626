"""A warm process differs from a cold one in nothing but the time that it takes to start."""

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.architecture.sources import ROOT

pytestmark = pytest.mark.slow

MIRROR = [sys.executable, "-m", "tests.processes.mirror", "one", "two words"]


def told(*, session: bool, more: dict[str, str]) -> dict[str, Any]:
    """What a process says of itself."""
    done = subprocess.run(
        MIRROR,
        cwd=ROOT,
        env=os.environ | {"TZ": "Pacific/Apia"} | more,
        input="a word\n",
        capture_output=True,
        text=True,
        check=False,
        start_new_session=session,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (3, "complained\n")
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize("session", [False, True])
def test_it_is_as_a_cold_one(session: bool) -> None:
    """Cold is who has a word for the interpreter, if only the one that says what is so anyhow."""
    warm, cold = told(session=session, more={}), told(session=session, more={"PYTHONHASHSEED": "random"})
    assert (warm.pop("loaded"), cold.pop("loaded")) == (True, False)
    assert cold["environment"].pop("PYTHONHASHSEED") == "random"
    assert warm == cold


def test_it_is_a_child_that_can_be_killed() -> None:
    with subprocess.Popen([*MIRROR, "stay"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["loaded"]
        process.kill()
        assert process.wait() == -signal.SIGKILL
