"""The demo's world: a chain, a follower and hospitals as separate processes on loopback, in one folder.

Knows how each is made, started, stopped and killed, and takes all of them down at the end, whatever happened. Does not
know what the demo wants of them.
"""

import secrets
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from client.admission import admit, read_admission, registrar_of
from client.processes import Node, free_port, run_once, start_node
from l1.ground.faults import LocalError
from l1.ground.signing import PrivateKey
from l1.reader import Reader, load_genesis
from l2.desk.desk import Desk

__all__ = ["CREDITS_TOTAL", "Hospital", "World", "now_ms", "open_world", "wait_until"]

CREDITS_TOTAL = 1_000_000_000
HEARTBEAT_MS = 500  # a restarted hospital waits for one block before it resumes
BLOCK_MS = 50
WINDOW_MIN_MS = 1_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _command(*words: object) -> list[str]:
    return [str(word) for word in words]


class Hospital:
    """One hospital: its folder, and its process while there is one."""

    def __init__(self, name: str, folder: Path, world: "World") -> None:
        self.name = name
        self.folder = folder
        self.id = b""
        self._world = world
        self._node: Node | None = None
        self._desk: Desk | None = None

    @property
    def desk(self) -> Desk:
        assert self._desk is not None, f"{self.name} is not running"
        return self._desk

    @property
    def node(self) -> Node:
        assert self._node is not None, f"{self.name} is not running"
        return self._node

    async def start(self) -> None:
        self.take(await self._world.start(self.name, _command("l2.node", "run", "--folder", self.folder)))

    def take(self, node: Node) -> None:
        """The hospital runs as this process from now on."""
        self._node = node
        self._desk = Desk(node.url, (self.folder / "desk.token").read_text().strip())

    async def stop(self) -> None:
        """An orderly end."""
        if self._node is not None:
            await self.close_desk()
            await self._node.stop()

    async def kill(self) -> None:
        """SIGKILL: as if the power went."""
        await self.close_desk()
        await self.node.kill()

    async def close_desk(self) -> None:
        """Close the connections to the desk, if there are any."""
        if self._desk is not None:
            await self._desk.__aexit__(None, None, None)
            self._desk = None

    def copy(self, name: str) -> Path:
        """A copy of the stopped hospital's whole folder, as an operator's backup would be."""
        assert not self.node.is_running
        target = self.folder.with_name(name)
        shutil.copytree(self.folder, target)
        return target


class World:
    """Everything that runs. Made by `open_world`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"INTERWARD_PASSWORD": secrets.token_hex(16)}
        self.nodes: list[Node] = []
        self.hospitals: list[Hospital] = []
        self.chain: Node
        self.follower: Node
        self.reader: Reader
        self.registrar: PrivateKey

    @property
    def genesis_file(self) -> Path:
        return self.folder / "chain" / "genesis.json"

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    async def start(self, name: str, arguments: Sequence[str]) -> Node:
        node = await start_node(name, arguments, log=self.log(name), environment=self.environment)
        self.nodes.append(node)
        return node

    async def run(self, name: str, arguments: Sequence[str], *, folder: Path | None = None) -> str:
        """Run a command that must succeed; what it printed."""
        log = self.log(name)
        status, printed = await run_once(arguments, log=log, environment=self.environment, folder=folder)
        if status:
            said = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise LocalError(f"{' '.join(arguments[:3])} ended with status {status}: {said[-1]}", f"Its log is {log}")
        return printed

    async def found_chain(self, *, follower: bool = True, key_window_ms: int | None = None, fee: int = 0) -> None:
        """Make and start the chain and, if wanted, its follower. `fee`: for every transaction, and every KiB of it."""
        folder = self.folder / "chain"
        await self.run(
            "chain",
            _command(
                *("l1.node", "init", "--folder", folder, "--name", "demo", "--credits", CREDITS_TOTAL),
                *("--fee", fee, "--fee-per-kib", fee),
                *("--heartbeat-ms", HEARTBEAT_MS, "--block-ms", BLOCK_MS, "--window-min-ms", WINDOW_MIN_MS),
                *(() if key_window_ms is None else ("--key-window-ms", key_window_ms)),
            ),
        )
        self.chain = await self.start("chain", _command("l1.node", "run", "--folder", folder, "--port", free_port()))
        password = self.environment["INTERWARD_PASSWORD"]
        self.registrar = registrar_of(folder, lambda: password)
        self.reader = Reader(load_genesis(self.genesis_file.read_bytes()), self.chain.url, now_ms=now_ms)
        if follower:
            await self._follow()

    async def _follow(self) -> None:
        self.follower = await self.start(
            "follower",
            _command(
                *("l1.node", "follow", "--folder", self.folder / "follower", "--genesis", self.genesis_file),
                *("--from", self.chain.url, "--port", 0),
            ),
        )

    async def make_hospital(self, name: str, gift: int, *options: str) -> Hospital:
        """Make a hospital and have it admitted with credits. `options` are those of its `init`."""
        hospital = Hospital(name, self.folder / name, self)
        await self.run(
            name,
            _command(
                *("l2.node", "init", "--folder", hospital.folder, "--name", name, "--bench"),
                *("--chain-url", self.chain.url, "--genesis", self.genesis_file),
                *("--listen", f"127.0.0.1:{free_port()}", "--desk", "127.0.0.1:0", *options),
            ),
        )
        admission = read_admission((hospital.folder / "admission.json").read_bytes())
        hospital.id, _ = await admit(self.reader, self.registrar, admission, gift)
        self.hospitals.append(hospital)
        return hospital

    async def add_tower(self, name: str) -> Node:
        """Make a watchtower and start it. It needs nobody's leave: hospitals name it."""
        folder = self.folder / name
        await self.run(
            name,
            _command(
                *("l2.tower", "init", "--folder", folder, "--name", name, "--listen", f"127.0.0.1:{free_port()}"),
                *("--chain-url", self.chain.url, "--genesis", self.genesis_file),
            ),
        )
        return await self.start_tower(name)

    async def start_tower(self, name: str) -> Node:
        return await self.start(name, _command("l2.tower", "run", "--folder", self.folder / name))

    async def add_hospital(self, name: str, gift: int) -> Hospital:
        """Make a hospital, have it admitted, and start it."""
        hospital = await self.make_hospital(name, gift)
        await hospital.start()
        return hospital


@asynccontextmanager
async def open_world(folder: Path, kind: type[World] = World) -> AsyncIterator[World]:
    """A world in an empty folder, taken down on the way out."""
    world = kind(folder)
    try:
        yield world
    finally:
        with trio.CancelScope(shield=True):
            await _take_down(world)


async def _take_down(world: World) -> None:
    for hospital in world.hospitals:
        await hospital.close_desk()
    if "reader" in vars(world):
        await world.reader.aclose()
    async with trio.open_nursery() as nursery:
        for node in world.nodes:
            nursery.start_soon(node.stop)


async def wait_until(what: str, ask: Callable[[], Awaitable[bool]], deadline_s: float) -> None:
    """Ask (an async function that says True or False) until it is so. Past the deadline it is a `LocalError`."""
    with trio.move_on_after(deadline_s):
        while True:
            if await ask():
                return
            await trio.sleep(0.05)
    raise LocalError(f"after {deadline_s:g} s it is still not so that {what}", "Look into the nodes' logs.")
