"""The demo itself, small: every scene with real processes; and what it leaves behind when it is broken off."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from client.demo.world import wait_until

pytestmark = pytest.mark.slow

DEMO = [sys.executable, "-m", "client", "demo", "--updates", "5000", "--patients", "3", "--json"]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder)}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(DEMO, capture_output=True, text=True, check=False, timeout=200, env=environment(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    assert is_empty(folder), "the temporary folder is removed"
    return json.loads(done.stdout.splitlines()[-1])


def test_everything_holds(report: Any) -> None:
    assert [check["name"] for check in report["checks"] if not check["ok"]] == []
    assert report["ok"] is True


def test_every_record_arrives(report: Any) -> None:
    assert report["records_shared"] == report["records_verified"] == 3 + 12
    assert report["bytes_shared"] > 1_000_000


def test_updates_are_counted_and_settled(report: Any) -> None:
    assert report["updates"] >= 5_000
    assert report["updates_per_s"] > 0
    assert report["checkpoints"] >= 1


def test_the_cheat_pays_and_nothing_is_lost(report: Any) -> None:
    assert report["crash_lost"] == 0
    assert report["stale_close"] is True
    assert report["bond_forfeited"] > 0
    assert report["payouts"]["B"] > report["payouts"]["A"]
    assert report["credits_conserved"] is True


async def test_an_interrupt_takes_all_processes_down(tmp_path: Path) -> None:
    demo = await trio.lowlevel.open_process(
        DEMO, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(tmp_path)
    )

    async def plays() -> bool:
        assert demo.poll() is None, "the demo ended before it was interrupted"
        return bool(running_hospitals(tmp_path))

    await wait_until("a hospital of the demo runs", plays, 120)
    demo.send_signal(signal.SIGINT)
    with trio.fail_after(60):
        assert await demo.wait() == 130
    assert is_empty(tmp_path), "an interrupted demo leaves nothing behind"
    assert not running_below(tmp_path)


def running_hospitals(folder: Path) -> list[Path]:
    return list(folder.glob("interward-demo-*/A/desk.url"))


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def running_below(folder: Path) -> list[str]:
    """Command lines of processes that name the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended meanwhile
        if str(folder) in line:
            found.append(line)
    return found
