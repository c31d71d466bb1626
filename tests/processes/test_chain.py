"""The chain as real processes: ready, killed, restarted, followed, lied to, misused."""

import json
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import httpx
import pytest
import trio

from l1.ground.codec import encode
from l1.ground.faults import Fault, Refused
from l1.node.folder import AUTHORITY, REGISTRAR, open_key, read_genesis
from l1.reader import ChainUnreachable, Reader
from l1.rules import blocks
from l1.rules.blocks import Block, Header, decode_block, decode_header
from l1.rules.transactions import Transfer, account_of, sign_transaction
from tests.processes.nodes import PASSWORD, failing, init, now_ms, running

pytestmark = pytest.mark.slow

TO = bytes(range(20))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chain's folder that no node has run on."""
    folder = tmp_path_factory.mktemp("made") / "chain"
    init(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    copy = tmp_path / "chain"
    copy.mkdir()
    for file in made.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def run_args(folder: Path) -> tuple[str, ...]:
    return ("run", "--folder", str(folder), "--port", "0")


def follow_args(folder: Path, own: Path, source: str) -> tuple[str, ...]:
    genesis = str(folder / "genesis.json")
    return ("follow", "--folder", str(own), "--genesis", genesis, "--from", source, "--port", "0")


def reader_of(folder: Path, url: str) -> Reader:
    return Reader(read_genesis(folder), url, now_ms=now_ms)


async def give(folder: Path, url: str, count: int) -> int:
    """Transfers one after another, each acknowledged in a verified block; the last height."""
    registrar = open_key(folder, REGISTRAR, PASSWORD)
    height = 0
    async with reader_of(folder, url) as reader:
        for _ in range(count):
            height = (await reader.send(registrar, Transfer(to=TO, amount=1))).height
    return height


async def balance(folder: Path, url: str) -> int:
    async with reader_of(folder, url) as reader:
        account = await reader.account(TO)
    return account.credits if account else 0


def ask(url: str) -> Any:
    return httpx.get(url).json()


async def test_an_orderly_stop_and_a_restart(folder: Path) -> None:
    with running(*run_args(folder)) as node:
        height = await give(folder, node.url, 2)
        status, said = node.end(signal.SIGTERM)
        assert status == 0, said
        assert said == ""
    with running(*run_args(folder)) as node:
        assert node.chain == ask(f"{node.url}/v1/genesis")["chain"]
        assert ask(f"{node.url}/v1/status")["height"] >= height
        assert await balance(folder, node.url) == 2
        assert node.end(signal.SIGINT)[0] == 0


async def test_a_stop_ends_waiting_questions_and_streams(folder: Path) -> None:
    with running(*run_args(folder)) as node:

        async def listen() -> None:
            async with httpx.AsyncClient(timeout=30) as client, client.stream("GET", f"{node.url}/v1/events") as stream:
                listening.set()
                async for _ in stream.aiter_bytes():
                    pass

        listening = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await listening.wait()
            status, said = await trio.to_thread.run_sync(node.end, signal.SIGTERM)
        assert status == 0, said


async def give_until_killed(folder: Path, reader: Reader, seen: list[int], enough: trio.Event) -> None:
    registrar = open_key(folder, REGISTRAR, PASSWORD)
    with suppress(ChainUnreachable):
        while True:
            seen.append((await reader.send(registrar, Transfer(to=TO, amount=1), deadline_s=5)).height)
            enough.set()


async def test_kill_9_loses_no_block_that_was_seen(folder: Path) -> None:
    seen: list[int] = []
    for _ in range(3):
        with running(*run_args(folder)) as node:
            async with reader_of(folder, node.url) as reader, trio.open_nursery() as nursery:
                enough = trio.Event()
                nursery.start_soon(give_until_killed, folder, reader, seen, enough)
                await enough.wait()
                node.process.kill()
                await trio.to_thread.run_sync(node.process.wait)
                nursery.cancel_scope.cancel()
    with running(*run_args(folder)) as node:
        assert len(seen) >= 3
        # The last one before each kill may have been included without anybody having been told.
        assert len(seen) <= await balance(folder, node.url) <= len(seen) + 3
        async with reader_of(folder, node.url) as reader:
            assert (await reader.sync()).height >= seen[-1]


async def test_a_follower_executes_every_block_and_comes_back(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "follower"
    with running(*run_args(folder)) as node:
        await give(folder, node.url, 2)
        with running(*follow_args(folder, own, node.url)) as follower:
            height = await give(folder, node.url, 1)
            async with reader_of(folder, follower.url) as reader:
                with trio.fail_after(60):
                    await reader.next_header(height - 1)
            assert await balance(folder, follower.url) == 3
            assert ask(f"{follower.url}/v1/status")["role"] == "follower"
            async with reader_of(folder, follower.url) as reader:
                with pytest.raises(Refused) as caught:
                    await reader.submit(b"\x00")
                assert caught.value.fault is Fault.NOT_AUTHORISED
            assert follower.end(signal.SIGTERM)[0] == 0
        height = await give(folder, node.url, 1)
        with running(*follow_args(folder, own, node.url)) as follower:
            async with reader_of(folder, follower.url) as reader:
                with trio.fail_after(60):
                    await reader.next_header(height - 1)
            assert await balance(folder, follower.url) == 4


async def test_a_follower_outlives_its_source(folder: Path, tmp_path: Path) -> None:
    with running(*run_args(folder)) as node:
        height = await give(folder, node.url, 1)
        with running(*follow_args(folder, tmp_path / "follower", node.url)) as follower:
            async with reader_of(folder, follower.url) as reader:
                with trio.fail_after(60):
                    await reader.next_header(height - 1)
            node.end(signal.SIGKILL)
            assert await balance(folder, follower.url) == 1
            status, said = follower.end(signal.SIGTERM)
            assert status == 0, said


def forged(folder: Path) -> bytes:
    """Block 1 signed by the authority, with a state root that its transaction does not give."""
    genesis = read_genesis(folder)
    first = blocks.begin(genesis).header
    authority, registrar = (open_key(folder, name, PASSWORD) for name in (AUTHORITY, REGISTRAR))
    gift = sign_transaction(registrar, first.chain, 0, Transfer(to=account_of(authority.public_key), amount=1))
    header = Header(
        version=first.version,
        chain=first.chain,
        height=1,
        parent=blocks.header_hash(first),
        time_ms=first.time_ms + 1,
        clock_ms=first.clock_ms + 1,
        transactions=blocks.transactions_root([gift]),
        state=first.state,
        authority=first.authority,
    )
    return encode(Block(header=blocks.sign_header(authority, header), transactions=(gift,)))


@contextmanager
def lying_source(chain: str, block: bytes) -> Iterator[str]:
    """A node that serves one bad block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlparse(self.path)
            answer: dict[str, object] = {
                "chain": chain,
                "name": "x",
                "height": 1,
                "time_ms": 0,
                "clock_ms": 0,
                "mempool": 0,
            }
            if asked.path == "/v1/blocks":
                first = int(parse_qs(asked.query)["from"][0])
                answer = {"blocks": [block.hex()] if first == 1 else []}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quietly."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_follower_refuses_a_wrong_state_root_and_names_the_height(folder: Path, tmp_path: Path) -> None:
    block = forged(folder)
    chain = decode_header(decode_block(block).header.body).chain.hex()
    with lying_source(chain, block) as source, running(*follow_args(folder, tmp_path / "f", source)) as follower:
        status, said = follower.end()
    assert status == 1
    assert "block 1 is refused: wrong state root" in said
    assert "Traceback" not in said


def test_a_follower_of_another_chain_says_so(folder: Path, tmp_path: Path) -> None:
    with lying_source("00" * 32, b"") as source, running(*follow_args(folder, tmp_path / "f", source)) as follower:
        status, said = follower.end()
    assert status == 2
    assert "serves another chain" in said


def test_a_second_process_on_one_folder_is_refused(folder: Path) -> None:
    with running(*run_args(folder)):
        status, said = failing(*run_args(folder))
    assert status == 2
    assert "another process runs on" in said
    assert said.count("\n") == 1


def test_a_port_in_use_is_named(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, said = failing("run", "--folder", str(folder), "--port", str(port))
    assert status == 2
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("spoil", "password", "says"),
    [
        (None, "wrong", "wrong password"),
        (None, "", "there is no password"),
        (("authority.key", b"\x00"), PASSWORD, "does not open"),
        (("genesis.json", b"{}"), PASSWORD, "genesis.json"),
        (("config.toml", b"port = 'x'"), PASSWORD, "config.toml"),
        (("config.toml", b"prot = 1"), PASSWORD, "config.toml"),
        (("chain.mdb", b"rubbish" * 4096), PASSWORD, "chain.mdb"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_in_one_line(
    folder: Path, spoil: tuple[str, bytes] | None, password: str, says: str
) -> None:
    if spoil:
        (folder / spoil[0]).write_bytes(spoil[1])
    status, said = failing(*run_args(folder), password=password)
    assert status == 2
    assert says in said
    assert said.count("\n") == 1


def test_init_overwrites_nothing(folder: Path) -> None:
    before = (folder / "authority.key").read_bytes()
    status, said = failing("init", "--folder", str(folder), "--name", "again")
    assert status == 2
    assert "exists already" in said
    assert (folder / "authority.key").read_bytes() == before


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    status, said = failing(*run_args(tmp_path / "nowhere"))
    assert status == 2
    assert "there is no folder" in said


def test_impossible_founders_are_told(tmp_path: Path) -> None:
    status, said = failing("init", "--folder", str(tmp_path / "x"), "--name", "x", "--credits", "-1")
    assert status == 2
    assert "error:" in said
    assert "Traceback" not in said


async def test_a_full_disk_stops_the_node_and_loses_nothing(folder: Path) -> None:
    with running(*run_args(folder)) as node:
        await give(folder, node.url, 2)
        size = (folder / "chain.mdb").stat().st_size
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (size, size))
        registrar = open_key(folder, REGISTRAR, PASSWORD)
        async with reader_of(folder, node.url) as reader:
            nonce = await reader.nonce(account_of(registrar.public_key))
            many = [
                sign_transaction(registrar, reader.chain, nonce + n, Transfer(to=TO, amount=1)) for n in range(2_000)
            ]
            with suppress(ChainUnreachable):  # it may be gone before it has answered
                await reader.submit_many(many)
            status, said = await trio.to_thread.run_sync(node.end)
        assert status == 1
        assert "the disk failed" in said
        assert "Traceback" not in said
    with running(*run_args(folder)) as node:
        assert await balance(folder, node.url) >= 2
        await give(folder, node.url, 1)
