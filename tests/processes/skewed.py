"""Runs a node's module with a wall clock that is off: `python -m tests.processes.skewed OFFSET_MS MODULE ARGUMENTS`.

The program under test has no switch for this; the clock is moved under it, as a wrong clock in a machine would be.
SIGUSR1 makes it jump an hour ahead while it runs, SIGUSR2 brings it back.
"""

import runpy
import signal
import sys
import time
from types import FrameType

JUMP_NS = 3_600_000_000_000

_true_time_ns = time.time_ns


def main() -> None:
    offset_ns, module = int(sys.argv[1]) * 1_000_000, sys.argv[2]

    def jump(number: int, _frame: FrameType | None) -> None:
        nonlocal offset_ns
        offset_ns += JUMP_NS if number == signal.SIGUSR1 else -JUMP_NS

    signal.signal(signal.SIGUSR1, jump)
    signal.signal(signal.SIGUSR2, jump)
    time.time_ns = lambda: _true_time_ns() + offset_ns
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
