"""Processes of our own programs that start warm: forked from one that has loaded them, where `python -m` loads anew.

A node takes a second of a core until it has loaded what it uses, a command half of one, and there are hundreds of them
here. A warm one has all else that a process has: memory, descriptors, a session, signals and an end of its own. Cold
stay those that other processes start: all that demo, tutorial and README run, and the workers of hubs. Cold is also
whoever is started in a way that is not foreseen here, and everything where there is no Linux.
"""

import ctypes
import inspect
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from tests.processes.forker import ORDER_BYTES_MAX, PROGRAMS

__all__ = ["warm_starts"]

PR_SET_CHILD_SUBREAPER = 36
# What `_execute_child` gets where nobody asked for anything special.
USUAL = {
    "executable": None,
    "preexec_fn": None,
    "close_fds": True,
    "pass_fds": (),
    "shell": False,
    "restore_signals": True,
    "gid": None,
    "gids": None,
    "uid": None,
    "umask": -1,
    "process_group": -1,
}
OF_THE_INTERPRETER = ("PYTHON", "LD_", "MALLOC_", "GLIBC_")  # read before any code of ours runs
ENDS = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")  # of pipes
OF_THE_CHILD = ("p2cread", "c2pwrite", "errwrite")


class _Forker:
    """The one that forks for us: how it is asked."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "tests.processes.forker", str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        self._environment = dict(os.environ)
        self._one_asks = Lock()

    def knows(self, arguments: list[str], environment: dict[str, str]) -> bool:
        """Whether this is a program of ours, in an environment that is the same to the interpreter."""
        return (
            arguments[:2] == [sys.executable, "-m"]
            and arguments[2].startswith((*PROGRAMS, "tests.processes."))
            and _of_the_interpreter(environment) == _of_the_interpreter(self._environment)
        )

    def fork(self, order: dict[str, Any], descriptors: list[int]) -> int:
        """The number of the new process, a child of ours."""
        message = json.dumps(order).encode()
        assert len(message) <= ORDER_BYTES_MAX
        with self._one_asks, _adopting():
            socket.send_fds(self._ours, [message], descriptors)
            return int(self._ours.recv(20))

    def end(self) -> None:
        self._ours.close()
        self._process.wait()


def _of_the_interpreter(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(OF_THE_INTERPRETER)}


@contextmanager
def _adopting() -> Iterator[None]:
    """Processes whose parent ends become our children."""
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _through(forker: _Forker, cold: Callable[..., None]) -> Callable[..., None]:
    """What stands in for `Popen._execute_child`."""
    parameters = inspect.signature(cold)

    def execute(process: Any, *rest: Any) -> None:
        told = parameters.bind(process, *rest).arguments
        arguments = list(map(str, told["args"])) if isinstance(told["args"], list | tuple) else []
        environment = dict(os.environ if told["env"] is None else told["env"])
        if any(told[name] != usual for name, usual in USUAL.items()) or not forker.knows(arguments, environment):
            return cold(process, *rest)
        order = {
            "arguments": arguments[2:],
            "environment": environment,
            "folder": os.fspath(told["cwd"] or Path.cwd()),
            "session": told["start_new_session"],
        }
        ends = [told[name] for name in OF_THE_CHILD]
        process.pid = forker.fork(order, [place if end == -1 else end for place, end in enumerate(ends)])
        process._child_created = True
        process._close_pipe_fds(*(told[name] for name in ENDS))
        return None

    return execute


@contextmanager
def warm_starts() -> Iterator[None]:
    """Meanwhile what this process starts is forked, where it can be."""
    if not sys.platform.startswith("linux"):
        yield
        return
    forker = _Forker()
    cold = vars(subprocess.Popen)["_execute_child"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "_execute_child", _through(forker, cold))
        yield
    forker.end()
