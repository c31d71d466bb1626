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
_sealing = sealed.seal


def cheaply(*arguments: str) -> list[str]:
    """The same `init` for `python -m`, without the cost."""
    return ["tests.processes.cheap", *arguments]


def _seal(secret: bytes, password: str, entropy: bytes, _cost: sealed.Cost) -> bytes:
    return _sealing(secret, password, entropy, CHEAP)


def main() -> None:
    for module in list(sys.modules.values()):  # whoever has it by name
        if getattr(module, "seal", None) is _sealing:
            vars(module)["seal"] = _seal
    program = sys.argv[1]
    sys.argv = sys.argv[1:]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
