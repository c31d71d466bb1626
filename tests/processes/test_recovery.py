"""What an operator does at night: restore from peers or from a backup, examine, ask what happened."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from client.demo.world import Hospital, World, wait_until
from l2.node.folder import ADMISSION, CERTIFICATE, CONFIG, GENESIS, KEY, Folder
from tests.processes.hospitals import both_open, consents, open_channel, pair

pytestmark = pytest.mark.slow


async def interward(world: World, *words: object) -> tuple[int, str, str]:
    """Exit status, what it printed, what it complained of."""
    done = await trio.run_process(
        [sys.executable, "-m", "client", *(str(word) for word in words)],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=os.environ | world.environment,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def told(world: World, status: int, *words: object) -> Any:
    """What it says with `--json`."""
    found, printed, complained = await interward(world, *words, "--json")
    assert found == status, printed + complained
    return json.loads(printed.splitlines()[-1])


async def both_logs(one: Hospital, channel: str) -> list[tuple[int, str]]:
    """Sizes and roots of both logs, by side."""
    view = await one.desk.channel(channel)
    logs = [(view.own.size, view.own.root), (view.theirs.size, view.theirs.root)]
    return logs if view.side == 0 else logs[::-1]


@pytest.mark.parametrize("who", [0, 1])
async def test_a_hospital_without_its_folder_gets_its_channels_back(tmp_path: Path, who: int) -> None:
    async with pair(tmp_path) as (world, a, b):
        channel = await open_channel(a, b)
        for hospital, name in ((a, "a"), (b, "b"), (a, "c")):
            await hospital.desk.append(channel, consents(name, 0, 3_000))
        await a.desk.checkpoint(channel)
        await b.desk.append(channel, consents("late", 0, 3_000))
        loser, other = (a, b) if who == 0 else (b, a)
        await loser.stop()
        kept = {name: (loser.folder / name).read_bytes() for name in (KEY, CERTIFICATE, CONFIG, GENESIS, ADMISSION)}
        token = (loser.folder / "desk.token").read_bytes()
        shutil.rmtree(loser.folder)
        loser.folder.mkdir()
        for name, data in (kept | {"desk.token": token}).items():
            (loser.folder / name).write_bytes(data)
        said = await told(world, 0, "hospital", "restore", "--folder", loser.folder, "--from-peers", "--wait-s", 90)
        assert said["ok"] is True
        (found,) = said["channels"]
        assert found["found_here"] == 0
        assert found["state"] == "back"
        await loser.start()
        await both_open(a, b, channel)
        assert await both_logs(a, channel) == await both_logs(b, channel)
        for hospital in (loser, other):
            await hospital.desk.append(channel, consents("on", 0, 100))
            assert (await hospital.desk.verify_log(channel)).ok
        assert await both_logs(a, channel) == await both_logs(b, channel)


async def test_a_backup_is_made_restored_and_signs_nothing_twice(tmp_path: Path) -> None:
    async with pair(tmp_path) as (world, a, b):
        channel = await open_channel(a, b)
        await a.desk.append(channel, consents("before", 0, 1_000))
        await a.desk.backup(tmp_path / "backup")
        await a.desk.append(channel, consents("after", 0, 1_000))
        await a.stop()
        status, _, complained = await interward(
            world, "hospital", "restore", "--folder", a.folder, "--backup", tmp_path / "backup"
        )
        assert (status, "is not empty" in complained) == (2, True)
        damaged = Path(shutil.copytree(tmp_path / "backup", tmp_path / "damaged"))
        store = damaged / "channels.mdb"
        store.write_bytes(store.read_bytes()[:8192])
        status, _, complained = await interward(
            world, "hospital", "restore", "--folder", tmp_path / "fresh", "--backup", damaged
        )
        assert (status, "the backup is not whole" in complained) == (2, True)
        assert not (tmp_path / "fresh").exists()
        lost = a.folder
        a.folder = tmp_path / "fresh"
        said = await told(world, 0, "hospital", "restore", "--folder", a.folder, "--backup", tmp_path / "backup")
        assert said["channels"][0]["own"] >= 1_000
        assert lost.exists()
        assert Folder(a.folder).is_copy()
        said = await told(world, 0, "hospital", "restore", "--folder", a.folder, "--from-peers", "--wait-s", 90)
        assert said["channels"][0]["own"] > said["channels"][0]["found_here"] >= 1_000
        await a.start()
        await both_open(a, b, channel)
        assert await both_logs(a, channel) == await both_logs(b, channel)
        assert (await a.desk.channel(channel)).own.size >= 2_000

        async def is_whole() -> bool:
            return not Folder(a.folder).is_copy()

        await wait_until("the copy is as good as any folder", is_whole, 60)


async def test_an_older_copy_says_that_it_signs_nothing_before_its_peer_has_signed_resume(tmp_path: Path) -> None:
    async with pair(tmp_path) as (world, a, b):
        channel = await open_channel(a, b)
        await a.stop()
        older = a.copy("A-older")
        await a.start()
        await both_open(a, b, channel)
        await a.desk.append(channel, consents("since", 0, 1_000))
        await a.stop()
        await b.stop()
        a.folder = older
        await a.start()
        duty = "signs nothing until B has signed `resume`; there is no line to B"

        async def says_so() -> bool:
            return [one.partition("… ")[2] for one in (await a.desk.status()).resuming] == [duty]

        await wait_until("A says that it must resume", says_so, 60)
        _, printed, _ = await interward(world, "hospital", "status", "--folder", a.folder)
        assert "resuming" in printed
        story = await told(world, 0, "channel", "explain", "--folder", a.folder)
        assert (story["channel"]["state"], "--lost" in story["advice"]) == ("connecting", True)
        assert "until the peer has signed `resume`" in story["channel"]["reason"]
        said = await told(world, 1, "hospital", "doctor", "--folder", a.folder)
        assert "resume" in next(check["found"] for check in said["checks"] if check["name"] == "signing")
        await b.start()
        await both_open(a, b, channel)
        assert (await a.desk.status()).resuming == ()
        assert (await a.desk.channel(channel)).reason is None
        assert (await a.desk.channel(channel)).own.size >= 1_000


async def test_restoring_without_the_peer_says_what_is_lacking(tmp_path: Path) -> None:
    async with pair(tmp_path) as (world, a, b):
        await open_channel(a, b)
        await a.stop()
        await b.stop()
        said = await told(world, 1, "hospital", "restore", "--folder", a.folder, "--from-peers", "--wait-s", 3)
        assert said["ok"] is False
        assert "B at 127.0.0.1" in said["channels"][0]["why"]
        assert "--lost" in said["channels"][0]["remedy"]
        status, _, complained = await interward(world, "hospital", "restore", "--folder", a.folder)
        assert (status, "either --from-peers or --backup" in complained) == (2, True)


def failing(said: Any) -> dict[str, str]:
    """Which checks fail, and the remedies."""
    return {check["name"]: check["remedy"] for check in said["checks"] if not check["ok"]}


async def test_the_doctor_finds_what_is_wrong(tmp_path: Path) -> None:
    async with pair(tmp_path) as (world, a, b):
        await open_channel(a, b)
        said = await told(world, 0, "hospital", "doctor", "--folder", a.folder)
        assert [check["name"] for check in said["checks"]] == [
            *("config", "keys", "genesis", "certificate", "channels", "disk", "chain", "clock", "registry", "peer B"),
            "signing",
        ]
        status, printed, _ = await interward(world, "hospital", "doctor", "--folder", a.folder)
        assert (status, "peer B" in printed) == (0, True)
        await b.stop()
        await a.stop()
        assert list(failing(await told(world, 1, "hospital", "doctor", "--folder", a.folder))) == ["peer B"]
        store = a.folder / "channels.mdb"
        whole = store.read_bytes()
        store.write_bytes(b"rubbish" * 4096)
        found = failing(await told(world, 1, "hospital", "doctor", "--folder", a.folder))
        assert "restore --from-peers" in found["channels"]
        store.write_bytes(whole)
        (a.folder / "certificate.pem").write_bytes((b.folder / "certificate.pem").read_bytes())
        assert "certificate" in failing(await told(world, 1, "hospital", "doctor", "--folder", a.folder))
        await world.chain.stop()
        (a.folder / "certificate.pem").unlink()
        assert "certificate" in failing(await told(world, 1, "hospital", "doctor", "--folder", a.folder))
        assert "chain" in failing(await told(world, 1, "hospital", "doctor", "--folder", b.folder))


async def test_a_channel_is_explained(tmp_path: Path) -> None:
    async with pair(tmp_path) as (world, a, b):
        channel = await open_channel(a, b, window_ms=1_000)
        await a.desk.append(channel, consents("x", 0, 10))
        quiet = await told(world, 0, "channel", "explain", "--folder", a.folder)
        assert (quiet["reason"], quiet["notes"]) == (None, [])
        await a.desk.checkpoint(channel)
        await b.stop()
        await b.start()
        await both_open(a, b, channel)
        await a.desk.close(channel, alone=True)

        async def settled() -> bool:
            return [(await one.desk.channel(channel)).state for one in (a, b)] == ["settled", "settled"]

        await wait_until("the channel is settled", settled, 60)
        ours, theirs = [
            await told(world, 0, "channel", "explain", "--channel", channel, "--folder", one.folder) for one in (a, b)
        ]
        assert ours["reason"] == theirs["reason"] == "settled"
        found = [note["reason"] for note in ours["notes"]]
        assert found[:4] == ["checkpoint", "closing", "closing_alone", "closed_by_us"]
        found = [note["reason"] for note in theirs["notes"]]
        assert found[:2] == ["resumed", "closed_by_peer"]
        status, printed, _ = await interward(world, "channel", "explain", "--channel", channel, "--folder", b.folder)
        assert status == 0
        assert "the peer closed alone; the challenge window began" in printed
        assert printed.strip().endswith("Nothing needs to be done.")
