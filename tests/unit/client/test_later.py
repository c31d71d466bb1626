"""Only what is asked for is loaded, and what stands for a command says and completes the same as the command."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from client.cli import interward
from client.later import Later, loaded

HEAVY = {
    "cryptography", "httpx", "hypercorn", "l1.node", "l1.reader", "l1.rules", "l2.node", "l2.protocol", "l2.records",
    "l2.tower", "lmdb", "msgspec", "nacl", "prometheus_client", "pydicom", "rich", "starlette", "structlog", "trio",
}  # fmt: skip
"""What takes a tenth of a second to load, or belongs to a node."""

NODES_ALONE = HEAVY - {"httpx", "l1.reader", "l1.rules", "l2.records", "msgspec", "rich", "trio"}


def every_later(group: click.Group) -> list[Later]:
    found: list[Later] = []
    for one in group.commands.values():
        command = loaded(one)
        found += [one] if isinstance(one, Later) else []
        found += every_later(command) if isinstance(command, click.Group) else []
    return found


def loads(*words: str, folder: Path) -> set[str]:
    """The modules that `interward` has loaded when it ends."""
    program = (
        "import atexit, os, sys\n"
        "atexit.register(lambda: os.write(3, ' '.join(sys.modules).encode()))\n"
        "from client.cli import main\n"
        "main()"
    )
    read, write = os.pipe()
    script = f"import os; os.dup2({write}, 3)\n{program}"
    command = [sys.executable, "-c", script, *words]
    subprocess.run(command, pass_fds=(write,), capture_output=True, check=False, cwd=folder, timeout=60)
    os.close(write)
    with open(read) as said:
        return set(said.read().split())


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["nonsense"], []])
def test_what_asks_nobody_loads_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    found = loads(*words, folder=tmp_path)
    assert "client.cli" in found
    assert not found & HEAVY
    assert not [name for name in found if name.startswith("client.commands.")]


@pytest.mark.parametrize("words", [["record", "list"], ["channel", "list"], ["consent", "list"], ["dispute", "list"]])
def test_who_asks_a_hospital_loads_neither_chain_nor_node(words: list[str], tmp_path: Path) -> None:
    found = loads(*words, "--folder", str(tmp_path), folder=tmp_path)
    assert f"client.commands.{words[0]}" in found
    assert [name for name in found if name.startswith("client.commands.")] == [f"client.commands.{words[0]}"]
    assert "httpx" in found
    assert not found & (NODES_ALONE | {"l1.reader", "l1.rules", "l2.records"})


def test_completion_of_a_noun_loads_that_noun_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed("interward ", 1, tmp_path, monkeypatch) == set(interward.commands)
    assert completed("interward rec", 1, tmp_path, monkeypatch) == {"record"}
    assert completed("interward record sh", 2, tmp_path, monkeypatch) == {"share", "show"}
    assert completed("interward hospital keys r", 3, tmp_path, monkeypatch) == {
        "recover", "recovery", "revoke", "rotate",
    }  # fmt: skip
    assert "--document" in completed("interward consent grant --d", 3, tmp_path, monkeypatch)


def completed(line: str, at: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What bash would offer for the word at that place."""
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(at))
    monkeypatch.setenv("_INTERWARD_COMPLETE", "bash_complete")
    program = "from client.cli import interward; interward(prog_name='interward')"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=folder)
    return {row.partition(",")[2] for row in said.stdout.split()}


@pytest.mark.parametrize("later", every_later(interward), ids=lambda later: later.name)
def test_what_stands_for_a_command_says_the_same(later: Later) -> None:
    command = later.load()
    assert (later.name, later.hidden, later.deprecated) == (command.name, command.hidden, command.deprecated)
    for limit in (20, 45, 80, 110, 300):
        assert later.get_short_help_str(limit) == command.get_short_help_str(limit)
