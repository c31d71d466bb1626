"""Nodes as child processes: start one and wait until it is ready, stop it kindly, kill it, read its processor time.

Knows the nodes' common habits (`python -m l1.node run` prints one JSON line when it listens, logs to stderr, ends on
SIGTERM), and nothing of what they do.
"""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio

from l1.ground.faults import LocalError

__all__ = ["Node", "cpu_s_of", "free_port", "run_once", "start_node"]

READY_S = 60.0  # Argon2id and a slow disk included
STOP_S = 20.0  # a node finishes its batch, then ends; longer means that it hangs
READY_BYTES_MAX = 64 * 1024
# Below what systems hand out by themselves: there a connection that somebody makes can take the port of a node that is
# just being restarted.
PORTS = range(10_000, 32_000)
PORTS_APART = 509  # for processes that look for ports at the same time

_tried = itertools.count(os.getpid() * PORTS_APART)


def free_port() -> int:
    """A port of loopback on which nobody listens now, and which this process has not given out before."""
    for number in itertools.islice(_tried, len(PORTS)):
        port = PORTS[number % len(PORTS)]
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise LocalError("no port of loopback is free", "End what listens on ports from 10000 to 32000.")


def cpu_s_of(pid: int) -> float:
    """Processor time of a process so far: user and system. Source: proc(5), /proc/PID/stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Node:
    """A running node. `ready` is what it said of itself when it began to listen."""

    def __init__(self, name: str, process: trio.Process, log: Path, ready: dict[str, Any]) -> None:
        self.name = name
        self.log = log
        self.ready = ready
        self._process = process

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    def cpu_s(self) -> float:
        return cpu_s_of(self.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    async def stop(self) -> int:
        """Ask it to end, and wait. Its exit status."""
        if self.is_running:
            self._process.terminate()
            with trio.move_on_after(STOP_S):
                return await self._process.wait()
        return await self.kill()

    async def kill(self) -> int:
        """SIGKILL: as if the power went."""
        if self.is_running:
            self._process.send_signal(signal.SIGKILL)
        return await self._process.wait()


async def start_node(name: str, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> Node:
    """Start `python -m …`, and wait until it says that it is ready. A node that ends instead is a `LocalError`."""
    with log.open("ab") as errors:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **environment},
            start_new_session=True,  # a Ctrl-C at the terminal is ours to pass on, in the right order
        )
    try:
        ready = await _read_ready(name, process, log)
    except BaseException:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()
        raise
    return Node(name, process, log, ready)


async def _read_ready(name: str, process: trio.Process, log: Path) -> dict[str, Any]:
    assert process.stdout is not None
    line = b""
    with trio.move_on_after(READY_S):
        while b"\n" not in line and len(line) < READY_BYTES_MAX:
            more = await process.stdout.receive_some()
            if not more:
                break
            line += more
    try:
        ready: dict[str, Any] = json.loads(line)
    except ValueError:
        raise LocalError(f"{name} did not start: {_last_line(log)}", f"Its log is {log}") from None
    return ready


def _last_line(log: Path) -> str:
    """The last line that says what went wrong, or just the last one."""
    lines = [line.strip(" |") for line in log.read_text(errors="replace").splitlines() if line.strip(" |+-")]
    telling = [line for line in lines if "error:" in line.lower()]
    return (telling or lines or ["it said nothing"])[-1]


async def run_once(
    arguments: Sequence[str], *, log: Path, environment: Mapping[str, str], folder: Path | None = None
) -> tuple[int, str]:
    """Run `python -m …` to its end. Its exit status and what it printed; complaints go to the log."""
    with log.open("ab") as errors:
        done = await trio.run_process(
            [sys.executable, "-m", *arguments],
            capture_stdout=True,
            stderr=errors,
            check=False,
            cwd=folder,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    return done.returncode, done.stdout.decode(errors="replace")
