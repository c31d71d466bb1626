"""Hospitals as real processes: what is wrong is said in a line, and one who misbehaves disturbs nobody else."""

import os
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest
import trio

from client.demo.play import GIFT
from client.demo.world import Hospital, World, wait_until
from client.processes import run_once
from l1.ground.faults import LocalError, Refused
from l2.desk import words
from l2.desk.desk import Desk
from tests.processes.cheap import cheaply
from tests.processes.hospitals import both_open, consents, fails, open_channel, pair, run_arguments
from tests.processes.worlds import open_world

pytestmark = pytest.mark.slow

PASSWORD = "correct horse"
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hospital's folder on which nothing has run yet; no node of its chain runs."""
    folder = tmp_path_factory.mktemp("made")
    chain = cheaply("l1.node", "init", "--folder", str(folder / "chain"), "--name", "test")
    assert fails(chain, PASSWORD) == (0, "")
    genesis = str(folder / "chain" / "genesis.json")
    words_ = ["--chain-url", NOWHERE, "--genesis", genesis, "--listen", "127.0.0.1:0", "--desk", "127.0.0.1:0"]
    assert fails(cheaply("l2.node", "init", "--folder", str(folder / "A"), "--name", "A", *words_), PASSWORD) == (0, "")
    return folder / "A"


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "A"))


def spoil(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def cut(name: str, size: int) -> Callable[[Path], object]:
    return lambda folder: os.truncate(folder / name, size)


def replace(name: str, old: str, new: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return change


def newer_schema(folder: Path) -> None:
    with lmdb.open(str(folder / "channels.mdb"), subdir=False, max_dbs=2) as store, store.begin(write=True) as writing:
        writing.put(b"schema", (999).to_bytes(2, "big"), db=store.open_db(b"meta", txn=writing))


def other_certificate(folder: Path) -> None:
    """The certificate of somebody else's key: genuine, and not ours."""
    other = folder.parent / "other"
    words_ = ["--chain-url", NOWHERE, "--genesis", str(folder / "genesis.json")]
    assert fails(cheaply("l2.node", "init", "--folder", str(other), "--name", "other", *words_), PASSWORD) == (0, "")
    shutil.copy(other / "certificate.pem", folder / "certificate.pem")


@pytest.mark.parametrize(
    ("harm", "cause", "remedy"),
    [
        (spoil("hospital.key", b"rubbish"), "hospital.key does not open", "backup"),
        (cut("hospital.key", 40), "hospital.key does not open", "backup"),
        (lambda folder: (folder / "hospital.key").unlink(), "is not a hospital's folder", "hospital init"),
        (spoil("certificate.pem", b"rubbish"), "certificate", "backup"),
        (other_certificate, "certificate", "backup"),
        (spoil("genesis.json", b"{}"), "genesis.json", "again"),
        (cut("genesis.json", 100), "genesis.json", "again"),
        (spoil("hospital.toml", b"name ="), "hospital.toml", "Correct"),
        (spoil("hospital.toml", b"\xff\xfe"), "hospital.toml", "Correct"),
        (replace("hospital.toml", 'name = "A"', "name = 1"), "hospital.toml", "Correct"),
        (replace("hospital.toml", "auto_fetch", "auto_fetsch"), "unknown field `auto_fetsch`", "Correct"),
        (replace("hospital.toml", 'listen = "127.0.0.1:0"', 'listen = "here"'), "'here' is not host:port", "example"),
        (replace("hospital.toml", 'desk = "127.0.0.1:0"', 'desk = "x:70000"'), "'x:70000' is not host:port", "example"),
        (replace("hospital.toml", NOWHERE, "nonsense"), "the chain at nonsense", "URL"),
        (replace("hospital.toml", "workers = 1", "workers = 17"), "Expected `int` <= 16 - at `$.workers`", "Correct"),
        (spoil("desk.token", b"short"), "token is too short", "desk.token"),
        (lambda folder: (folder / "desk.token").unlink(), "desk.token cannot be read", ""),
        (spoil("channels.mdb", b"rubbish" * 4096), "channels.mdb is damaged", "restore"),
        (newer_schema, "channels.mdb has schema 999", "newer program"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_in_one_line(
    folder: Path, harm: Callable[[Path], object], cause: str, remedy: str
) -> None:
    harm(folder)
    status, said = fails(run_arguments(folder), PASSWORD)
    assert status == 2, said
    assert said.startswith("error: ")
    assert said.count("\n") == 1, said
    assert cause in said
    assert remedy in said


@pytest.mark.parametrize(("password", "cause"), [("wrong", "wrong password"), ("", "there is no password")])
def test_a_wrong_password_is_named(folder: Path, password: str, cause: str) -> None:
    status, said = fails(run_arguments(folder), password)
    assert (status, said.count("\n")) == (2, 1)
    assert cause in said
    assert "INTERWARD_PASSWORD" in said


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    status, said = fails(run_arguments(tmp_path / "none"), PASSWORD)
    assert (status, said.count("\n")) == (2, 1)
    assert "is not a hospital's folder" in said


async def _refuses_to_start(world: World, hospital: Hospital) -> str:
    """What it says while it ends with status 2."""
    log = world.folder / "refused.log"
    log.unlink(missing_ok=True)
    status, _ = await run_once(run_arguments(hospital.folder), log=log, environment=world.environment)
    said = log.read_text()
    assert status == 2, said
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, said
    assert "Traceback" not in said
    return errors[0]


async def test_folders_ports_and_peers_that_are_taken_or_missing(tmp_path: Path) -> None:
    async with pair(tmp_path) as (world, a, b):
        assert "another process runs on" in await _refuses_to_start(world, a)
        assert (await a.desk.status()).name == "A"
        await b.stop()
        wanted = words.OpenChannel(peer="B", deposit=1, peer_deposit=1, bond=1, window_ms=60_000)
        with pytest.raises(LocalError, match=r"B at .* cannot be asked .*Is it running"):
            await a.desk.open_channel(wanted)
        with pytest.raises(LocalError, match="no hospital called 'Nobody'"):
            await a.desk.open_channel(words.OpenChannel(peer="Nobody", deposit=1, peer_deposit=1, bond=1, window_ms=1))
        listen = next(line for line in (b.folder / "hospital.toml").read_text().splitlines() if "listen =" in line)
        port = int(listen.rpartition(":")[2].strip('"'))
        with socket.create_server(("127.0.0.1", port)):
            said = await _refuses_to_start(world, b)
            assert f"cannot listen on 127.0.0.1:{port}" in said
            assert "listen" in said
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            config = b.folder / "hospital.toml"
            config.write_text(config.read_text().replace('desk = "127.0.0.1:0"', f'desk = "127.0.0.1:{port}"'))
            assert f"cannot listen on 127.0.0.1:{port}" in await _refuses_to_start(world, b)
        await b.start()
        await open_channel(a, b)


async def test_a_damaged_store_of_a_running_channel_is_named(tmp_path: Path) -> None:
    async with pair(tmp_path) as (world, a, b):
        channel = await open_channel(a, b)
        await a.desk.append(channel, consents("x", 0, 2_000))
        await a.stop()
        whole = (a.folder / "channels.mdb").read_bytes()
        for harmed in (whole[: len(whole) // 2], whole[:4096], _without_marks(whole, a.folder)):
            (a.folder / "channels.mdb").write_bytes(harmed)
            said = await _refuses_to_start(world, a)
            assert "channels.mdb" in said or "a store of the folder failed" in said
            assert "restore" in said
        (a.folder / "channels.mdb").write_bytes(whole)
        await a.start()
        await both_open(a, b, channel)


def _without_marks(whole: bytes, folder: Path) -> bytes:
    """A store whose rows do not fit together."""
    path = folder / "channels.mdb"
    path.write_bytes(whole)
    with lmdb.open(str(path), subdir=False, max_dbs=2) as store:
        rows = store.open_db(b"rows")
        with store.begin(write=True, db=rows) as writing, writing.cursor() as cursor:
            marks = [bytes(key) for key, _ in cursor if key[32:33] == b"m"]
            assert marks
            for key in marks:
                writing.delete(key)
    return path.read_bytes()


async def test_a_clock_far_off_the_chains_signs_nothing_and_says_so(tmp_path: Path) -> None:
    async with pair(tmp_path) as (world, a, b):
        channel = await open_channel(a, b)
        await b.stop()
        ahead = ["tests.processes.skewed", str(10 * 60_000), *run_arguments(b.folder)]
        node = await world.start("B", ahead)
        async with Desk(node.url, (b.folder / "desk.token").read_text().strip()) as desk:

            async def says_so() -> bool:
                return "clock" in ((await desk.channel(channel)).reason or "")

            await wait_until("B says that its clock is off", says_so, 60)
            with trio.move_on_after(2) as waited:
                await desk.append(channel, consents("late", 0, 1), wait="durable")
            assert waited.cancelled_caught, "nothing is signed"
            assert (await desk.channel(channel)).own.size == 0
        await node.stop()
        behind = ["tests.processes.skewed", str(-10 * 60_000), *run_arguments(b.folder)]
        log = world.folder / "behind.log"
        status, _ = await run_once(behind, log=log, environment=world.environment)
        assert status == 2, log.read_text()
        assert "clock" in log.read_text()
        await b.start()
        await both_open(a, b, channel)
        assert (await b.desk.append(channel, consents("right", 0, 1))).written == 1


async def test_a_clock_that_jumps_an_hour_ahead_costs_no_hour(tmp_path: Path) -> None:
    """Nothing is signed while it is off, and nothing is left in the log that the peer would have to wait for."""
    async with pair(tmp_path) as (world, a, b):
        channel = await open_channel(a, b)
        await b.stop()
        b.take(await world.start("B", ["tests.processes.skewed", "0", *run_arguments(b.folder)]))
        await both_open(a, b, channel)
        assert (await b.desk.append(channel, consents("before", 0, 10))).written == 10
        async with trio.open_nursery() as nursery:
            b.node.signal(signal.SIGUSR1)
            nursery.start_soon(b.desk.append, channel, consents("meanwhile", 0, 10))

            async def says_so() -> bool:
                return "clock" in ((await b.desk.channel(channel)).reason or "")

            await wait_until("B says that its clock is off", says_so, 60)
            assert (await b.desk.channel(channel)).own.size <= 11, "nothing is signed"
            b.node.signal(signal.SIGUSR2)
        assert (await b.desk.append(channel, consents("after", 0, 10))).written == 10
        held = [note.reason for note in (await a.desk.story(channel)).notes]
        assert "batch_held" not in held


GARBAGE = (
    b"",
    b"\x00",
    b"\xff" * 70_000,
    b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 600,
    b"\x16\x03\x01\xff\xff" + b"\x00" * 100,
    bytes(range(256)) * 64,
)


async def _throw(port: int, data: bytes) -> None:
    """Connect, send, take what comes, and go. Being cut off is an answer too."""
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            await stream.send_all(data)
            with trio.move_on_after(0.3):
                while await stream.receive_some():
                    pass
    except OSError:
        return
    except trio.BrokenResourceError:
        return


async def test_garbage_at_every_port_disturbs_no_channel(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.found_chain(follower=False)
        a, b = await world.add_hospital("A", GIFT), await world.add_hospital("B", GIFT)
        channel = await open_channel(a, b)
        status = await a.desk.status()
        ports = [int(status.endpoint.rpartition(":")[2]), int(status.url.rpartition(":")[2])]
        async with trio.open_nursery() as nursery:
            for port in ports:
                for data in GARBAGE:
                    nursery.start_soon(_throw, port, data)
            for at in range(10):
                written = await b.desk.append(channel, consents("calm", 100 * at, 100))
                assert written.written == 100
        with pytest.raises((Refused, LocalError), match=r".") as wrong:
            await a.desk.append_encoded(channel, b"\xc1rubbish")
        assert "malformed" in str(wrong.value)
        async with Desk(a.node.url, "wrong token, long enough") as stranger:
            with pytest.raises(Refused, match="token"):
                await stranger.status()
        assert a.node.is_running
        assert b.node.is_running
        assert (await a.desk.channel(channel)).theirs.size >= 1_000
        assert "Traceback" not in world.log("A").read_text()


async def test_a_backup_that_cannot_be_written_harms_nothing(tmp_path: Path) -> None:
    async with pair(tmp_path) as (_, a, b):
        channel = await open_channel(a, b)
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(LocalError, match="the copy could not be written"):
            await a.desk.backup(tmp_path / "file" / "below")
        assert (await a.desk.append(channel, consents("on", 0, 10))).written == 10
