"""Whether our clock can be right is known between two blocks as well, and whoever sets the clock."""

from l1.ground.limits import CLOCK_SKEW_MS_MAX
from l2.node.clock import Clock, steady_ms

HOUR_MS = 3_600_000


class Times:
    """A wall clock that can be set, and one that cannot."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_800_000_000_000, 5_000
        self.clock = Clock(lambda: self.wall, lambda: self.steady)

    def pass_(self, ms: int) -> None:
        self.wall += ms
        self.steady += ms


def test_before_the_first_block_nothing_is_known() -> None:
    times = Times()
    times.wall += HOUR_MS
    assert not times.clock.is_off()


def test_a_jump_is_noticed_at_once_and_so_is_its_end() -> None:
    times = Times()
    times.clock.heard(times.wall)
    times.pass_(12 * HOUR_MS)
    assert not times.clock.is_off(), "no block for half a day is no reason"
    for jump in (HOUR_MS, -HOUR_MS, CLOCK_SKEW_MS_MAX + 1):
        times.wall += jump
        assert times.clock.is_off()
        times.wall -= jump
        assert not times.clock.is_off()
    times.wall += CLOCK_SKEW_MS_MAX
    assert not times.clock.is_off()


def test_a_clock_that_was_always_wrong_is_off_from_the_first_block_on() -> None:
    times = Times()
    times.clock.heard(times.wall - HOUR_MS)
    assert times.clock.is_off()


def test_the_steady_clock_does_not_fall() -> None:
    read = [steady_ms() for _ in range(100)]
    assert read == sorted(read)
