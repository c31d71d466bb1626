"""A process that has loaded the programs and forks one whenever it is asked: `python -m tests.processes.forker SOCKET`.

Who asks (`warm`) sends the order and three descriptors, and is told the number of the process. It is that process's
parent: it adopts (prctl(2), PR_SET_CHILD_SUBREAPER) while it waits for the answer, and the one in between ends at once.
"""

import gc
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import time
from importlib import import_module
from typing import Any

import client.commands

__all__ = ["ORDER_BYTES_MAX", "PROGRAMS"]

PROGRAMS = ("l1.node", "l2.node", "l2.tower", "client")
ORDER_BYTES_MAX = 128 * 1024  # arguments and environment
STDIO = (0, 1, 2)


def _load() -> None:
    """All that the programs import; not they themselves, whose `__main__` is run afresh each time."""
    for program in PROGRAMS:
        import_module(f"{program}.__main__")
        del sys.modules[f"{program}.__main__"]
    for module in pkgutil.iter_modules(client.commands.__path__, "client.commands."):
        import_module(module.name)
    gc.collect()
    gc.freeze()


def _serve(asked: socket.socket) -> dict[str, Any] | None:
    """Fork at every order. In the process that is to carry it out: the order. None once nobody can ask any more."""
    while True:
        order, descriptors, _, _ = socket.recv_fds(asked, ORDER_BYTES_MAX, len(STDIO))
        if not order:
            return None
        number = _fork_and_leave()
        if not number:
            for descriptor, place in zip(descriptors, STDIO, strict=True):
                os.dup2(descriptor, place)
        for descriptor in descriptors:
            os.close(descriptor)
        if not number:
            told: dict[str, Any] = json.loads(order)
            return told
        asked.send(b"%d" % number)


def _fork_and_leave() -> int:
    """As fork(2), but the new process is at once nobody's child: whoever adopts has it."""
    told, tell = os.pipe()
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        number = int(os.read(told, 20))
    else:
        between, number = os.getpid(), os.fork()
        if number:
            os.write(tell, b"%d" % number)
            os._exit(0)
        while os.getppid() == between:
            os.sched_yield()
    os.close(told)
    os.close(tell)
    return number


def _carry_out(order: dict[str, Any]) -> None:
    """As `python -m` would, in the folder and the environment that the order names."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if order["session"]:
        os.setsid()
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    os.chdir(order["folder"])
    sys.path[0] = order["folder"]
    sys.argv = order["arguments"]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for those who ask; they end, and so does this
    _load()
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        order = _serve(asked)
    if order is not None:
        _carry_out(order)


if __name__ == "__main__":
    main()
