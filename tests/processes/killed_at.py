"""Runs a module that dies by SIGKILL at a chosen point: `python -m tests.processes.killed_at FILE MODULE ARGUMENTS`.

The point stands in FILE, which may come and go while the program runs; with the death it is gone. Points are

    before ACTION    the hospital is about to bring this kind of transaction to the chain (`Close`, `Settle`, …)
    after ACTION     the chain's node has it; the hospital knows of no block that holds it
    unwritten ROW    rows are about to be written, one whose key begins with this letter among them
    written ROW      such rows are on the disk, and nobody was told so

Of a hub it is a worker that dies. The program under test has no switch for this; the points are put around it.
"""

import os
import runpy
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from l1.ground.signing import Signer
from l1.reader.client import Reader
from l1.reader.light import Included
from l1.rules.transactions import Action, decode_transaction
from l1.serving.journal import Row
from l2.node.hub import workers
from l2.node.store import ChannelStore

CHANNEL_BYTES = 32  # with which the place of every row begins


class _Points:
    def __init__(self, file: Path) -> None:
        self._file = file

    def reach(self, *point: str) -> None:
        """Die here if this is the chosen point."""
        if self._file.exists() and self._file.read_text() == " ".join(point):
            self._file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


def put_around(points: _Points) -> None:
    send, submit, append = Reader.send, Reader.submit, ChannelStore._append

    async def sending(self: Reader, signer: Signer, action: Action, *rest: Any) -> Included:
        points.reach("before", type(action).__name__)
        return await send(self, signer, action, *rest)

    async def submitting(self: Reader, transaction: bytes) -> bytes:
        name = await submit(self, transaction)
        points.reach("after", type(decode_transaction(transaction, self.chain)[0].action).__name__)
        return name

    def appending(self: ChannelStore, rows: Sequence[Row], body: bytes) -> None:
        letters = {chr(place[CHANNEL_BYTES]) for place, _ in rows}
        for letter in letters:
            points.reach("unwritten", letter)
        append(self, rows, body)
        for letter in letters:
            points.reach("written", letter)

    Reader.send = sending  # type: ignore[assignment, method-assign]
    Reader.submit = submitting  # type: ignore[method-assign]
    ChannelStore._append = appending  # type: ignore[method-assign]


def main() -> None:
    put_around(_Points(Path(sys.argv[1])))
    workers.WORK = (*workers.WORK[:-2], __spec__.name, sys.argv[1], *workers.WORK[-2:])
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
