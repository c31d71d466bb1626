"""The node's wall clock, the only one: milliseconds since the epoch. And whether it can be right.

A wall clock can be set, by hand or by a wrong time server, between two blocks. So the time of the newest block is
carried on by a clock that nobody sets, and whoever is about to sign asks first: a jump is noticed before it is written
into a log, not when the next block comes.
"""

import time
from collections.abc import Callable

from l1.ground.limits import CLOCK_SKEW_MS_MAX

__all__ = ["Clock", "now_ms", "steady_ms"]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """Milliseconds since the machine started, its sleep included: never set, never falls."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Clock:
    """The wall clock against the chain's."""

    def __init__(self, wall_ms: Callable[[], int] = now_ms, steady: Callable[[], int] = steady_ms) -> None:
        self._wall_ms, self._steady_ms = wall_ms, steady
        self._chain_less_steady_ms: int | None = None

    def heard(self, chain_ms: int) -> None:
        """A block that has just come says what time it is."""
        self._chain_less_steady_ms = chain_ms - self._steady_ms()

    def is_off(self) -> bool:
        """Whether the wall clock is more than five minutes away from the chain's. Unknown before the first block."""
        if self._chain_less_steady_ms is None:
            return False
        chain_ms = self._chain_less_steady_ms + self._steady_ms()
        return abs(self._wall_ms() - chain_ms) > CLOCK_SKEW_MS_MAX
