"""Runs an `init` whose passwords cost nothing: `python -m tests.processes.cheap MODULE init ARGUMENTS`.

Argon2id takes 0.6 s of a core at each sealing and each opening, as it should where a thief may try words. The programs
under test have no switch for this: the cost is changed under the one that seals. It stands in what was sealed, so who
opens that later is the program as it is. Tutorial, demo and the chain's commands are tried at the product's own cost.
"""

import runpy
import sys

from l1.ground import sealed

__all__ = ["CHEAP", "cheaply"]

CHEAP = sealed.Cost(1, 8192)  # the least there is


def cheaply(*arguments: str) -> list[str]:
    """The same `init` for `python -m`, without the cost."""
    return ["tests.processes.cheap", *arguments]


def main() -> None:
    sealed.MODERATE = CHEAP  # before the modules are loaded that seal with it
    module = sys.argv[1]
    sys.argv = sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
