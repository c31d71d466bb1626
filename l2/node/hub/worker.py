"""A worker's process: a hospital that keeps its part of the channels, spoken to through its front alone.

It gets the hospital's secrets on standard input, its lock and its end to the front as open descriptors, and says on
standard output that it is ready, or why it could not go on.
"""

import fcntl
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx
import msgspec
import structlog
import trio

from l1.ground.faults import LocalError
from l1.reader.turns import Turn, Turns
from l2.desk.problem import error_from
from l2.node.api.server import SIBLINGS
from l2.node.folder import Begun, Config, Folder
from l2.node.hub.handing import Handed
from l2.node.parts import Part, lock_of
from l2.node.run import Doors, at_work
from l2.node.siblings import Ask, Siblings

__all__ = ["Place", "Secrets", "read_secrets", "run_worker", "socket_of", "turn_of"]

ASK_S = 120.0  # as long as a desk waits: a sibling may wait for a block
TURN = "turn"  # who holds this file's lock may take the next nonce of the hospital's keys
TURN_S, TURN_AGAIN_S = 20.0, 0.01  # far longer than two questions to the chain take

log = structlog.get_logger()


class Secrets(msgspec.Struct):
    """What opens the hospital's keys: the seed, in hex, and the PIN of its HSM; and what the hub began with. Never
    shown."""

    seed: str
    pin: str
    begun: Begun

    def __repr__(self) -> str:
        return "Secrets(…)"


@dataclass(frozen=True)
class Place:
    """Where a worker stands: its part, the folder of the workers' sockets, what its front listens on, and the
    descriptors that it inherited."""

    part: Part
    sockets: Path
    endpoint: str
    url: str
    end: int
    lock: int


def socket_of(sockets: Path, number: int) -> Path:
    """Where a worker's desk listens."""
    return sockets / str(number)


def read_secrets(stream: BinaryIO) -> Secrets:
    """What the front hands over, to its end. Raises `LocalError`."""
    try:
        return msgspec.json.decode(stream.read(), type=Secrets)
    except msgspec.DecodeError:
        raise _not_ours("no front gives it the hospital's secrets") from None


def _not_ours(cause: str) -> LocalError:
    return LocalError(cause, "Workers are started by `interward hospital run` alone.")


async def run_worker(path: Path, place: Place, secrets: Secrets) -> None:
    """Keep this part of the channels until a signal, or until the front has ended. Raises `LocalError`."""
    folder = Folder(path, secrets.begun)
    _check_lock(folder, place)
    keys = folder.keys_from(bytes.fromhex(secrets.seed), secrets.pin)
    handed = Handed(socket.socket(fileno=place.end))

    async def open_doors(_: Config) -> Doors:
        desk = _bind(socket_of(place.sockets, place.part.number))
        return Doors([handed], place.endpoint, desk, place.url, handed.settled)

    turns = Turns(among=turn_of(folder.path / TURN))
    async with at_work(folder, keys, open_doors, place.part, _siblings(folder, place), turns):
        sys.stdout.write(json.dumps({"ready": True, "worker": place.part.number}) + "\n")
        sys.stdout.flush()
        await trio.sleep_forever()


def _check_lock(folder: Folder, place: Place) -> None:
    """The lock of this part, and of no other, is ours. Raises `LocalError`."""
    path = folder.path / lock_of(place.part.number)
    try:
        fcntl.flock(place.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = os.path.samestat(os.fstat(place.lock), path.stat())
    except OSError:
        ours = False
    if not ours:
        raise _not_ours(f"{path} is not held by this worker")


def _bind(path: Path) -> socket.socket:
    """A listening socket for this user alone; one that a worker before it left gives way."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen()
    listener.setblocking(False)
    return listener


def _siblings(folder: Folder, place: Place) -> Siblings:
    part = place.part
    if not part.is_first:
        return Siblings()
    token = folder.token()
    return Siblings({number: _asker(socket_of(place.sockets, number), token) for number in range(1, part.workers)})


def _asker(path: Path, token: str) -> Ask:
    async def ask(what: str, body: bytes) -> bytes:
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://worker", headers=headers, timeout=ASK_S
        ) as http:
            try:
                answer = await http.post(SIBLINGS.format(what=what), content=body)
            except httpx.TransportError as error:
                cause = f"worker {path.name} does not answer ({error or type(error).__name__})"
                raise LocalError(
                    cause, "It is being started again, perhaps; see `interward hospital status`."
                ) from None
        if answer.is_error:
            raise error_from(answer.status_code, answer.content)
        return answer.content

    return ask


def turn_of(path: Path) -> Turn:
    """Workers take turns for the nonces of the keys that they share. One that dies gives its turn up; one that hangs
    keeps the others from no challenge: they go on without, and who signs a nonce twice is told and signs again."""

    @asynccontextmanager
    async def turn() -> AsyncIterator[None]:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with trio.move_on_after(TURN_S) as scope:
                while not _is_mine(file):  # noqa: ASYNC110 - another process holds it, and cannot notify us
                    await trio.sleep(TURN_AGAIN_S)
            if scope.cancelled_caught:
                log.warning("a worker does not end its turn", after_s=TURN_S)
            yield
        finally:
            os.close(file)

    return turn


def _is_mine(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
