"""The front of a hub: it holds the folder, opens the keys once, starts the workers, and is what everybody else sees.

Start in this order: lock, keys, rows at home, leftovers of records; then the addresses, the workers, the desk. The
front keeps no channel, signs nothing and reads no record; it keeps the seed to start a worker again.
"""

import json
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import trio

from l1.ground.faults import LocalError
from l1.serving.addresses import split_address
from l1.serving.listening import bind, serve
from l2.desk.drafts import DRAFTS_BYTES_MAX
from l2.node.bodies import Bodies
from l2.node.folder import BODIES, Begun, Folder
from l2.node.hub.arranging import arrange
from l2.node.hub.relay import Relay, make_front
from l2.node.hub.worker import Secrets, socket_of
from l2.node.hub.workers import Workers
from l2.node.parts import WORKERS_MAX
from l2.node.run import check_config, listen, stop_on_signal

__all__ = ["place_for_sockets", "run_hub"]

SOCKET_BYTES_MAX = 107  # unix(7)

log = structlog.get_logger()


async def run_hub(folder: Folder, password: str) -> None:
    """Run until SIGINT or SIGTERM. Raises `LocalError` for what keeps it from starting or going on."""
    with folder.hold(), place_for_sockets() as sockets:
        begun = Begun(folder.config(), folder.token())
        folder = Folder(folder.path, begun)
        secrets = Secrets(folder.seed(password).hex(), folder.pin(), begun)
        keys = folder.keys_from(bytes.fromhex(secrets.seed))
        folder.genesis(), folder.certificate(keys)
        check_config(folder)
        config = folder.config()
        arrange(folder.path, config.workers)
        listeners, endpoint = await listen(config)
        desk, url = bind(*split_address(config.desk))
        bodies = Bodies(folder.path / BODIES, keys.record_key())  # puts right what a crash left of records
        workers = Workers(folder, secrets, config.workers, sockets, endpoint=endpoint, url=url)
        ready = {"ready": True, "url": url, "endpoint": endpoint, "hospital": keys.hospital.hex()}
        try:
            await _run(workers, listeners, desk, folder, ready)
        finally:
            folder.forget_url()
            bodies.close(is_clean=workers.ended_well)
    log.info("stopped")


@contextmanager
def place_for_sockets() -> Iterator[Path]:
    """A folder for this user alone, meanwhile. Raises `LocalError` where there can be none, or its name is too long."""
    remedy = "Set TMPDIR to another folder, with a short name."
    try:
        place = tempfile.TemporaryDirectory(prefix="interward-")
    except OSError as error:
        raise LocalError(f"there is no place for the sockets of the hub's workers ({error})", remedy) from None
    with place as name:
        longest = socket_of(Path(name), WORKERS_MAX - 1)
        if len(os.fsencode(longest)) > SOCKET_BYTES_MAX:
            raise LocalError(f"{longest} is too long a name for a socket", remedy)
        yield Path(name)


async def _run(
    workers: Workers, listeners: list[trio.SocketListener], desk: socket.socket, folder: Folder, ready: dict[str, Any]
) -> None:
    relay = Relay(workers, folder.token())
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop_on_signal, nursery.cancel_scope)
            async with trio.open_nursery() as starting:
                for number in range(workers.count):
                    starting.start_soon(nursery.start, workers.keep, number)
            nursery.start_soon(trio.serve_listeners, workers.door.knock, listeners)
            serving = partial(serve, socket_bytes_max=DRAFTS_BYTES_MAX)
            await nursery.start(serving, make_front(relay, token=folder.token()), desk, trio.sleep_forever)
            folder.say_url(ready["url"])
            sys.stdout.write(json.dumps(ready) + "\n")
            sys.stdout.flush()
    finally:
        with trio.CancelScope(shield=True):
            await relay.aclose()
