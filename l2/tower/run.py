"""A tower's process: it opens the folder, joins the parts, and keeps them going until it is told to stop."""

import json
import signal
import sys
import time

import structlog
import trio

from l1.reader import ChainUnreachable, Reader
from l1.serving.listening import bind, serve
from l2.tower.api import make_app
from l2.tower.folder import Folder
from l2.tower.tower import Tower

__all__ = ["run_tower"]

RETRY_S = 0.5

log = structlog.get_logger()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def run_tower(folder: Folder, password: str) -> None:
    """Run until SIGINT or SIGTERM. Raises `LocalError` for what keeps it from starting or going on."""
    with folder.hold():
        config, signer, store, headers = folder.config(), folder.key(password), folder.store(), folder.headers()
        reader = Reader(folder.genesis(), config.chain_url, now_ms=now_ms, header_store=headers)
        serves = frozenset(bytes.fromhex(hospital) for hospital in config.serves)
        try:
            async with reader:
                await _live(folder, Tower(config.name, signer, store, reader, serves))
        finally:
            folder.forget_url()
            headers.close()
            store.close()


async def _live(folder: Folder, tower: Tower) -> None:
    config = folder.config()
    await _first_header(tower.reader)
    listener, url = bind(config.host, config.port)
    stop = trio.Event()
    async with trio.open_nursery() as serving:
        await serving.start(serve, make_app(tower), listener, stop.wait)
        async with trio.open_nursery() as working:
            await working.start(tower.run)
            folder.say_url(url)
            sys.stdout.write(json.dumps({"ready": True, "url": url, "tower": tower.account.hex()}) + "\n")
            sys.stdout.flush()
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                await anext(signals)
            working.cancel_scope.cancel()
        stop.set()
    log.info("stopped")


async def _first_header(reader: Reader) -> None:
    """A tower is ready once it has seen the chain."""
    while True:
        try:
            await reader.sync()
        except ChainUnreachable as error:
            log.warning("waiting for the chain", detail=str(error))
            await trio.sleep(RETRY_S)
        else:
            return
