"""Runs a hospital that keeps back what it owes: `python -m tests.processes.withholding WHAT MODULE ARGUMENTS`.

    release   of a grant that the other confirmed no release is written; a demand on the chain is answered
    secret    neither the one nor the other
    receipt   what came is confirmed to nobody, and a desk that waits is soon told that nothing came

The program under test has no switch for this; what is kept back is taken out around it.
"""

import runpy
import sys
from typing import Any

from l2.node.exchange import delivery
from l2.node.exchange.fetching import Fetching
from l2.node.exchange.sharing import Sharing
from l2.node.run import _Process


async def _nothing(*_: Any) -> None:
    pass


KEPT_BACK: dict[str, list[tuple[Any, str, Any]]] = {
    "release": [(Sharing, "release", _nothing)],
    "secret": [(Sharing, "release", _nothing), (_Process, "_reveal", lambda *_: None)],
    "receipt": [(Fetching, "_confirm", staticmethod(_nothing)), (delivery, "COMING_S", 1.0)],
}


def main() -> None:
    for owner, name, instead in KEPT_BACK[sys.argv[1]]:
        setattr(owner, name, instead)
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
