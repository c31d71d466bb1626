"""kill -9 in the middle of a long body: it goes on where it stopped. `tests.processes.kills` does it longer."""

from pathlib import Path

import pytest
import trio

from tests.processes.kills import MIB, carry_under_kills

pytestmark = pytest.mark.slow

IN_FLIGHT_MAX = 12 * MIB  # what may be under way when a process dies: two lines' windows, and what the wire holds


async def test_a_long_body_survives_kills_of_both_sides(tmp_path: Path) -> None:
    with trio.fail_after(240):
        killed = await carry_under_kills(tmp_path, 96 * MIB + 12_345, 2, seed=3)
    assert killed.identical
    assert killed.kills == 2
    assert killed.sent < killed.size * 1.006 + killed.kills * IN_FLIGHT_MAX
