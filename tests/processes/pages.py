"""Pages as scripts: their `sh` blocks run in order, as a reader would type them, and print what the page shows.

What is put in for the reader, and nothing else:

- `PATIENT`, `RECORD` and `ENTRY` are what the hospital in `--folder` shows: its newest record's patient, that record,
  and the number of the newest access in the peer's log;
- the default ports become free ones, so that several pages run on one machine;
- a command that runs a node is left running until the page ends.

A `text` block after a `sh` block is what it prints. Ids, numbers and dates differ from run to run and are not compared.
A block that shows an `error:` must end with a status other than 0; all others with 0.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from client.processes import free_port

BLOCKS = re.compile(r"^```sh\n(?P<sh>.*?)^```\n(?:\n```text\n(?P<text>.*?)^```\n)?", re.MULTILINE | re.DOTALL)
PORTS = ("8800", "9800", "9880", "9801", "9881")
DEFAULTS = {"--listen": "127.0.0.1:9800", "--desk": "127.0.0.1:9880"}
COMMAND_S = 60.0
PATIENCE_S = 20.0  # for what arrives a moment later, such as a record that is fetched by itself


class Block(NamedTuple):
    commands: list[str]
    shown: str | None


def blocks_of(page: str) -> list[Block]:
    """The commands of every `sh` block, and the `text` block right behind it."""
    return [Block(_commands(found["sh"]), found["text"]) for found in BLOCKS.finditer(page)]


def _commands(block: str) -> list[str]:
    lines = block.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def same_but_for_figures(text: str) -> list[str]:
    """The lines without what differs from run to run; lines of one moment may come in either order."""
    text = re.sub(r"\b[0-9a-f]{8,}\b", "#", text)
    text = re.sub(r"\d[\d,.:-]*", "#", re.sub(r"─+", "─", text))
    return sorted(" ".join(line.split()) for line in text.strip().splitlines())


class Reader:
    """Somebody who types a page, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = dict(zip(PORTS, (str(free_port()) for _ in PORTS), strict=True))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        told = {"PATH": path, "INTERWARD_PASSWORD": "choose-one", "COLUMNS": "80"}
        self._environment = os.environ | told
        self._nodes: list[subprocess.Popen[str]] = []

    def do(self, block: Block) -> None:
        """Type a block; what it prints must be what the page shows."""
        until = time.monotonic() + PATIENCE_S
        while True:
            status, printed = self._type(block.commands)
            if block.shown is None:
                assert status == 0, printed
                return
            as_shown = same_but_for_figures(printed) == same_but_for_figures(block.shown)
            if as_shown or time.monotonic() > until or not _only_looks(block):
                assert (status != 0) == ("error:" in block.shown), printed
                assert same_but_for_figures(printed) == same_but_for_figures(block.shown), printed
                return

    def _type(self, commands: list[str]) -> tuple[int, str]:
        printed = ""
        for command in commands:
            if " run " in command:
                printed += self._start(self._put_in(command))
                continue
            done = self._run("bash", "-c", self._put_in(command))
            printed += done.stdout
            if done.returncode:
                return done.returncode, printed
        return 0, printed

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )

    def _start(self, command: str) -> str:
        """Start a node; the line that it prints when it is ready."""
        with (self._folder / "nodes.log").open("ab") as log:
            node = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._nodes.append(node)
        assert node.stdout is not None
        watchdog = threading.Timer(COMMAND_S, node.kill)
        watchdog.start()
        line = node.stdout.readline()
        watchdog.cancel()
        assert line, (self._folder / "nodes.log").read_text()
        return line

    def _put_in(self, command: str) -> str:
        words = shlex.split(command)
        if "init" in words and "hospital" in words:
            command += "".join(f" {option} {value}" for option, value in DEFAULTS.items() if option not in words)
        if "chain" in words and "run" in words:
            command += " --port 8800"
        for port, free in self._ports.items():
            command = re.sub(rf"\b{port}\b", free, command)
        for name in {"PATIENT", "RECORD", "ENTRY"} & set(words):
            command = re.sub(rf"\b{name}\b", self._look_up(name, words[words.index("--folder") + 1]), command)
        return command

    def _look_up(self, name: str, hospital: str) -> str:
        if name == "ENTRY":
            accesses = [
                row for row in self._ask(f"audit log --side peer --folder {hospital}") if row["kind"] == "access"
            ]
            return str(accesses[-1]["index"])
        until = time.monotonic() + PATIENCE_S
        while not (records := self._ask(f"record list --folder {hospital}")):
            assert time.monotonic() < until, "no record arrived"
        return str(records[-1]["subject" if name == "PATIENT" else "record"])

    def _ask(self, command: str) -> list[dict[str, Any]]:
        done = self._run(sys.executable, "-m", "client", *command.split(), "--json")
        assert done.returncode == 0, done.stdout
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def leave(self) -> list[int]:
        """Stop what runs, the last first, as Ctrl-C would. The exit statuses."""
        statuses = []
        for node in reversed(self._nodes):
            node.terminate()
            try:
                node.communicate(timeout=COMMAND_S)
            finally:
                node.kill()
            statuses.append(node.returncode)
        self._nodes = []
        return statuses


def _only_looks(block: Block) -> bool:
    return all(re.search(r" (list|log|status) ", command) for command in block.commands)


@contextmanager
def reading(folder: Path) -> Iterator[Reader]:
    reader = Reader(folder)
    try:
        yield reader
        assert set(reader.leave()) == {0}, "every node ends in good order"
    finally:
        reader.leave()
