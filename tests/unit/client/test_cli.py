"""The command line: every noun and verb is there, teaches itself, and ends with the status that stands for the end."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from client.cli import interward
from client.ending import CheckFailed, end_with
from client.later import loaded
from client.output import rows_table
from client.units import codes, date_ms, duration_ms
from l1.ground.codes import PurposeOfUse
from l1.ground.faults import Fault, LocalError, Refused, first_of
from tests.processes.warm import warm_starts

VERBS = {
    "demo": [],
    "bench": ["channel", "channels", "hub", "latency", "log", "chain", "floor", "records", "all"],
    "chain": ["init", "run", "follow", "status", "block", "tx", "account", "pay", "hospital", "parameters", "verify"],
    "hospital": ["init", "run", "status", "backup", "restore", "doctor", "keys", "tower"],
    "channel": ["open", "list", "show", "explain", "deposit", "checkpoint", "close", "challenge", "settle"],
    "consent": ["grant", "withdraw", "list"],
    "record": ["add", "export", "list", "show", "share", "request", "fetch", "revoke", "erase"],
    "retention": ["status", "hold", "unhold"],
    "audit": ["log", "after-close", "verify", "prove"],
    "dispute": ["list", "show", "file", "status", "prove", "learn", "demand"],
    "tower": ["init", "run", "status", "answers", "prove", "verify"],
}


@pytest.fixture(scope="module", autouse=True)
def _warm() -> Iterator[None]:
    with warm_starts():
        yield


def every_command(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            found += every_command(loaded(below), (*path, name))
    return found


def test_nouns_and_verbs_are_those_of_the_reference() -> None:
    assert set(interward.commands) == set(VERBS)
    for noun, verbs in VERBS.items():
        command = loaded(interward.commands[noun])
        assert set(command.commands if isinstance(command, click.Group) else []) == set(verbs)


@pytest.mark.parametrize(("path", "command"), every_command(interward)[1:])
def test_every_command_teaches_itself(path: tuple[str, ...], command: click.Command) -> None:
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option) and len(path) == 1)


def run(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "client", *words], capture_output=True, text=True, check=False, cwd=folder, timeout=60
    )


def test_a_mistake_in_the_call_ends_with_2(tmp_path: Path) -> None:
    done = run("channel", "open", "X", folder=tmp_path)
    assert done.returncode == 2
    assert "Missing option '--deposit'" in done.stderr


def test_something_missing_here_ends_with_2_and_a_remedy(tmp_path: Path) -> None:
    done = run("hospital", "status", "--folder", ".", "--json", folder=tmp_path)
    assert done.returncode == 2
    assert "error: . is not a hospital's folder\nremedy: Make one" in done.stderr
    assert json.loads(done.stdout)["error"]["fault"] == "local"


def test_a_chain_that_is_not_named(tmp_path: Path) -> None:
    done = run("chain", "status", folder=tmp_path)
    assert done.returncode == 2
    assert "no chain is named" in done.stderr


def test_what_a_node_refuses_to_make_ends_with_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERWARD_PASSWORD", "choose-one")
    done = run("chain", "init", "--folder", "c", "--name", "x", "--heartbeat-ms", str(2**64), folder=tmp_path)
    assert done.returncode == 2
    (tmp_path / "genesis.json").write_text("garbage")
    words = ("--name", "x", "--chain-url", "http://127.0.0.1:1", "--genesis", "genesis.json")
    done = run("hospital", "init", "--folder", "h", *words, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "genesis file" in done.stderr
    done = run("hospital", "init", "--folder", "h", *words, "--listen", "nowhere", folder=tmp_path)
    assert done.returncode == 2
    assert "'nowhere' is not host:port" in done.stderr


def test_generated_data_is_written_once_and_always_the_same(tmp_path: Path) -> None:
    words = ("demo", "--patients", "1", "--seed", "7", "--write-data")
    made = json.loads(run(*words, "one", "--json", folder=tmp_path).stdout)
    assert run(*words, "two", folder=tmp_path).returncode == 0
    for name in made["files"]:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    again = run(*words, "one", folder=tmp_path)
    assert again.returncode == 2
    assert "remedy: Name a new folder" in again.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused(Fault.BAD_PROOF, "why"), 1),
        (CheckFailed(), 1),
        (LocalError("cause", "remedy"), 2),
        (ExceptionGroup("g", [ExceptionGroup("h", [LocalError("cause")])]), 2),
        (KeyboardInterrupt(), 130),
        (click.UsageError("no"), 2),
        (click.exceptions.Exit(3), 3),
    ],
)
def test_every_end_has_its_status(error: BaseException, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        end_with(error, as_json=False)
    assert ended.value.code == status
    capsys.readouterr()


def test_our_own_bugs_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        end_with(ZeroDivisionError(), as_json=False)
    assert isinstance(first_of(ExceptionGroup("g", [KeyError()])), KeyError)


def test_no_rows_are_a_sentence() -> None:
    assert rows_table("Channels", ("a",), []) == "Channels: none."


@pytest.mark.parametrize(("text", "ms"), [("90s", 90_000), ("10m", 600_000), ("24h", 86_400_000), ("5ms", 5)])
def test_durations(text: str, ms: int) -> None:
    assert duration_ms(text) == ms


def test_dates_and_codes() -> None:
    assert date_ms("1970-01-02") == 86_400_000
    assert codes(["treat,btg", "TREAT"], PurposeOfUse) == ("TREAT", "BTG")
    assert codes([], PurposeOfUse) == tuple(PurposeOfUse.__members__)


@pytest.mark.parametrize(
    "wrong", [lambda: duration_ms("1 week"), lambda: date_ms("soon"), lambda: codes(["x"], PurposeOfUse)]
)
def test_what_is_no_unit_says_what_would_be(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(LocalError) as caught:
        wrong()
    assert caught.value.remedy
