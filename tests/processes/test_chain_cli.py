"""`interward chain` against a real chain: made, run, asked, verified, stopped; a hospital is admitted."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from client.processes import Node, start_node
from l1.ground.codec import encode
from l1.ground.faults import LocalError
from l1.ground.signing import Context, PrivateKey, Purpose, sign
from l1.reader import load_genesis
from l1.rules.genesis import chain_id
from l1.rules.transactions import account_of
from tests.processes.nodes import init

PASSWORD = {"INTERWARD_PASSWORD": "correct horse"}


def interward(*words: object, password: str = "correct horse") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "client", *(str(word) for word in words)]
    environment = os.environ | {"INTERWARD_PASSWORD": password}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)


def told(*words: object) -> Any:
    done = interward(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Node]:
    init(tmp_path / "chain", "--heartbeat-ms", "200")
    arguments = ["l1.node", "run", "--folder", str(tmp_path / "chain"), "--port", "0"]
    node = await start_node("chain", arguments, log=tmp_path / "chain.log", environment=PASSWORD)
    yield node
    await node.stop()


def write_admission(folder: Path) -> bytes:
    """What a hospital's `init` writes. The hospital's id."""
    chain = chain_id(load_genesis((folder / "chain" / "genesis.json").read_bytes()))
    root, channel = PrivateKey(b"\x01" * 32), PrivateKey(b"\x02" * 32)
    asked = ["Harbor General", "127.0.0.1:9", root.public_key, channel.public_key, b"\x03" * 32, b"\x04" * 32]
    possession = sign(root, Purpose.KEY, Context(chain=chain), encode(asked))
    names = ("name", "endpoint", "root", "channel", "tls", "sealing", "possession")
    values = [value.hex() if isinstance(value, bytes) else value for value in (*asked, possession)]
    (folder / "admission.json").write_text(json.dumps(dict(zip(names, values, strict=True))))
    return account_of(root.public_key)


async def test_a_hospital_is_admitted_and_everything_verifies(chain: Node, tmp_path: Path) -> None:
    place = ("--folder", tmp_path / "chain", "--url", chain.url)
    hospital = write_admission(tmp_path)
    admitted = told("chain", "hospital", "admit", tmp_path / "admission.json", "--credits", 1_000, *place)
    assert admitted["hospital"] == hospital.hex()
    (listed,) = told("chain", "hospital", "list", *place)
    assert (listed["id"], listed["name"]) == (hospital.hex(), "Harbor General")
    assert told("chain", "account", hospital.hex(), *place)["credits"] == 1_000
    block = told("chain", "block", admitted["height"], *place)
    assert [shown["action"] for shown in block["transactions"]] == ["Admit"]
    found = told("chain", "tx", block["transactions"][0]["id"], *place)
    assert (found["height"], found["index"]) == (admitted["height"], 0)
    verified = told("chain", "verify", *place)
    assert (verified["ok"], verified["transactions"]) == (True, 2)
    assert told("chain", "status", *place)["height"] >= verified["height"]
    again = interward("chain", "hospital", "admit", tmp_path / "admission.json", *place)
    assert again.returncode == 1
    assert again.stderr.startswith("error: already done")


async def test_a_wrong_password_and_a_foreign_genesis_are_named(chain: Node, tmp_path: Path) -> None:
    write_admission(tmp_path)
    place = ("--folder", tmp_path / "chain", "--url", chain.url)
    words = ("chain", "hospital", "admit", tmp_path / "admission.json", *place)
    done = interward(*words, password="wrong")
    assert done.returncode == 1
    assert "wrong password" in done.stderr
    assert interward("chain", "init", "--folder", tmp_path / "other", "--name", "other").returncode == 0
    done = interward("chain", "status", "--genesis", tmp_path / "other" / "genesis.json", "--url", chain.url)
    assert done.returncode == 1


async def test_a_node_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="there is no folder"):
        await start_node(
            "chain",
            ["l1.node", "run", "--folder", str(tmp_path / "none")],
            log=tmp_path / "log",
            environment=PASSWORD,
        )


async def test_a_killed_chain_comes_back(chain: Node, tmp_path: Path) -> None:
    place = ("--folder", tmp_path / "chain", "--url", chain.url)
    assert chain.cpu_s() > 0
    height = told("chain", "status", *place)["height"]
    await chain.kill()
    assert not chain.is_running
    arguments = ["l1.node", "run", "--folder", str(tmp_path / "chain"), "--port", "0"]
    again = await start_node("chain", arguments, log=tmp_path / "chain.log", environment=PASSWORD)
    try:
        place = ("--folder", tmp_path / "chain", "--url", again.url)
        assert told("chain", "status", *place)["height"] >= height
    finally:
        assert await again.stop() == 0


async def test_a_registrar_shows_and_changes_the_parameters_and_pays(chain: Node, tmp_path: Path) -> None:
    place = ("--folder", tmp_path / "chain", "--url", chain.url)
    shown = told("chain", "parameters", "show", *place)
    assert (shown["fee"], shown["serial"], len(shown["registrars"])) == (0, 0, 1)
    change = ("--fee", 2, "--fee-per-kib", 1)
    mine = tmp_path / "mine.json"
    told("chain", "parameters", "set", *change, "--out", mine, *place)
    other = interward("chain", "parameters", "set", "--fee", 9, "--approval", mine, *place)
    assert (other.returncode, "approves of another change: fee" in other.stderr) == (2, True)
    twice = interward("chain", "parameters", "set", *change, "--approval", mine, *place)
    assert (twice.returncode, "a registrar approves once" in twice.stderr) == (1, True)
    done = told("chain", "parameters", "set", *change, *place)
    assert (done["fee"], done["fee_per_kib"], done["serial"]) == (2, 1, 1)
    assert told("chain", "parameters", "show", *place)["fee"] == 2
    assert told("chain", "pay", "ab" * 20, 50, *place)["credits"] == 50
    assert told("chain", "account", "00" * 20, *place)["credits"] == 3, "the treasury holds the fee of the payment"
    none = interward("chain", "parameters", "set", *place)
    assert (none.returncode, "nothing is to be changed" in none.stderr) == (2, True)
