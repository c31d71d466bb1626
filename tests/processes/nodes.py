"""Starting chain nodes as processes, and ending those that were started here."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes.cheap import cheaply

NODE = [sys.executable, "-m", "l1.node"]
PASSWORD = "correct horse"
START_S = 60.0  # for a process to be ready; a slow machine needs a few
END_S = 60.0


def environment(password: str = PASSWORD) -> dict[str, str]:
    return os.environ | {"INTERWARD_PASSWORD": password}


def init(folder: Path, *options: str) -> None:
    arguments = cheaply("l1.node", "init", "--folder", str(folder), "--name", "test", "--block-ms", "20", *options)
    subprocess.run([sys.executable, "-m", *arguments], env=environment(), check=True, timeout=START_S)


class Node:
    """A running node; `url` once it is ready."""

    def __init__(self, *arguments: str, password: str = PASSWORD) -> None:
        self.process = subprocess.Popen(
            [*NODE, *arguments],
            env=environment(password),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        watchdog = threading.Timer(START_S, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        if not line:
            status, said = self.end()
            raise AssertionError(f"the node ended with {status}: {said}")
        ready = json.loads(line)
        assert ready["ready"] is True
        self.url: str = ready["url"]
        self.chain: str = ready["chain"]

    def end(self, number: signal.Signals | None = None) -> tuple[int, str]:
        """Exit status and standard error, after a signal if one is given."""
        if number is not None:
            self.process.send_signal(number)
        try:
            _, said = self.process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, said = self.process.communicate()
            raise AssertionError(f"the node did not end: {said}") from None
        return self.process.returncode, said


@contextmanager
def running(*arguments: str) -> Iterator[Node]:
    node = Node(*arguments)
    try:
        yield node
    finally:
        if node.process.poll() is None:
            node.end(signal.SIGKILL)
        for stream in (node.process.stdout, node.process.stderr):
            assert stream is not None
            stream.close()


def failing(*arguments: str, password: str = PASSWORD) -> tuple[int, str]:
    """Exit status and standard error of a node that does not start."""
    done = subprocess.run(
        [*NODE, *arguments],
        env=environment(password),
        capture_output=True,
        text=True,
        check=False,
        timeout=START_S,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stderr


def now_ms() -> int:
    return time.time_ns() // 1_000_000
