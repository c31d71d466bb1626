"""Runs a node's module with a wall clock that is off: `python -m tests.processes.skewed OFFSET_MS MODULE ARGUMENTS`.

The program under test has no switch for this; the clock is moved under it, as a wrong clock in a machine would be.
"""

import runpy
import sys
import time

_true_time_ns = time.time_ns


def main() -> None:
    offset_ns, module = int(sys.argv[1]) * 1_000_000, sys.argv[2]
    time.time_ns = lambda: _true_time_ns() + offset_ns
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
