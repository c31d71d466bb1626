"""kill -9 between the wish to close and the payment: the channel ends by itself, and pays what it owes. The same
over the answer to a stale close: it is given all the same.

`python -m tests.processes.endings` does it longer.
"""

from pathlib import Path

import pytest
import trio

from client.demo.court import Court, open_court
from client.demo.world import wait_until
from tests.processes.endings import How, open_theatre
from tests.processes.hospitals import run_arguments

pytestmark = pytest.mark.slow

POINTS: tuple[tuple[How, str], ...] = (
    ("together", "before CloseTogether"),
    ("alone", "written x"),
    ("alone", "after Close"),
    ("lost", "before Close"),
    ("alone", "before Settle"),
)
SIGNED = 21  # entries of Mallory
CHALLENGED = "before Challenge", "after Challenge"
LONG_WINDOW_MS = 600_000
PATIENCE_S = 90.0
DEADLINE_S = 240


async def test_a_channel_ends_though_its_hospital_dies_over_it(tmp_path: Path) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_theatre(tmp_path, seed=1) as theatre:
            for how, point in POINTS:
                channel = await theatre.kill_at(point, how)
                told = [note.reason for note in (await theatre.a.desk.story(channel)).notes]
                assert "settled" in told, (how, point, told)
            assert theatre.lost == []
            assert theatre.kills == len(POINTS)


async def test_a_channel_of_a_hub_ends_though_its_worker_dies_over_it_or_all_are_stopped(tmp_path: Path) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_theatre(tmp_path, seed=1, workers=2) as theatre:
            await theatre.kill_at("after Close", "alone")
            assert sum(worker.restarts for worker in (await theatre.a.desk.status()).workers) == 1
            await theatre.stop_within("lost")
            assert theatre.lost == []
            assert theatre.endings == {"alone": 1, "lost": 1}


async def test_a_stale_close_is_challenged_though_the_hospital_dies_over_it(tmp_path: Path) -> None:
    point = tmp_path / "point"
    async with open_court(tmp_path) as court:
        await court.honest.stop()
        await _runs_up_to(court, point)
        for chosen in CHALLENGED:
            await court.open(LONG_WINDOW_MS)
            await court.do("request")
            await court.do("request", count=SIGNED - 1)
            point.write_text(chosen)
            await court.do("close_stale")
            await _dies_and_comes_back(court, point)
            await _is_challenged(court)


async def _runs_up_to(court: Court, point: Path) -> None:
    honest = court.honest
    command = ["tests.processes.killed_at", str(point), *run_arguments(honest.folder)]
    honest.take(await court.world.start(honest.name, command))


async def _dies_and_comes_back(court: Court, point: Path) -> None:
    async def dead() -> bool:
        return not court.honest.node.is_running

    await wait_until(f"the hospital died {point.name}", dead, PATIENCE_S)
    await court.honest.close_desk()
    await _runs_up_to(court, point)


async def _is_challenged(court: Court) -> None:
    async def challenged() -> bool:
        row = await court.row()
        return row.stale and row.sides[0].posted.size >= SIGNED  # one more where an answer came between: its `seen`

    await wait_until("the stale close is challenged", challenged, PATIENCE_S)
