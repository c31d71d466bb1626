"""Runs a module that takes silence for an end sooner: `python -m tests.processes.impatient SECONDS MODULE ARGUMENTS`.

The program under test has no switch for this; a test would wait for minutes.
"""

import runpy
import sys
from dataclasses import fields

from l2.link import Limits

BEATS = 4  # within the time after which silence counts


def main() -> None:
    silent_s = float(sys.argv[1])
    told = {"silent_s": silent_s, "beat_s": silent_s / BEATS}
    Limits.__init__.__defaults__ = tuple(told.get(field.name, field.default) for field in fields(Limits))
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
