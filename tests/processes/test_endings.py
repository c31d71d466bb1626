"""kill -9 between the wish to close and the payment: the channel ends by itself, and pays what it owes.

`python -m tests.processes.endings` does it longer.
"""

from pathlib import Path

import pytest
import trio

from tests.processes.endings import How, open_theatre

pytestmark = pytest.mark.slow

POINTS: tuple[tuple[How, str], ...] = (
    ("together", "before CloseTogether"),
    ("alone", "written x"),
    ("alone", "after Close"),
    ("lost", "before Close"),
    ("alone", "before Settle"),
)
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
