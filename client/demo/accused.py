"""Mallory's process as the demo holds it: one JSON command at a time, one JSON answer. Knows not what they do."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import trio

from client.demo.world import World
from l1.ground.faults import LocalError

__all__ = ["Accused"]

ANSWER_S = 60.0
STOP_S = 5.0


class Accused:
    """A running Mallory. `ready` is what she said of herself."""

    def __init__(self, process: trio.Process, log: Path) -> None:
        self._process, self._log = process, log
        self._rest = b""
        self.ready: dict[str, Any] = {}

    @classmethod
    async def start(cls, world: World) -> "Accused":
        log = world.log("M")
        with log.open("ab") as errors:
            process = await trio.lowlevel.open_process(
                [sys.executable, "-m", "client.demo.mallory", str(world.genesis_file), world.chain.url],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        accused = cls(process, log)
        accused.ready = await accused._answer()
        return accused

    @property
    def id(self) -> bytes:
        return bytes.fromhex(self.ready["hospital"])

    async def do(self, what: str, **fields: Any) -> dict[str, Any]:
        """Have her do it. Raises `LocalError` where she cannot."""
        assert self._process.stdin is not None
        await self._process.stdin.send_all(json.dumps({"do": what, **fields}).encode() + b"\n")
        said = await self._answer()
        if "error" in said:
            raise LocalError(f"Mallory could not: {said['error']}", f"Her log is {self._log}.")
        return said

    async def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        with trio.move_on_after(ANSWER_S):
            while b"\n" not in self._rest:
                more = await self._process.stdout.receive_some()
                if not more:
                    break
                self._rest += more
        line, newline, self._rest = self._rest.partition(b"\n")
        if not newline:
            raise LocalError("Mallory's process said nothing", f"Its log is {self._log}.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def stop(self) -> None:
        assert self._process.stdin is not None
        with trio.move_on_after(STOP_S):
            await self._process.stdin.aclose()
            await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        assert self._process.stdout is not None
        await self._process.stdout.aclose()
