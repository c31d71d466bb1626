"""`python -m l1.node {init,run,follow}`: the chain's processes. Thin; people use `interward chain`.

Standard output carries one JSON line when the node listens, nothing else. Logs go to standard error. Exit status: 0
after an orderly stop, 1 when something outside was found wrong, 2 when it could not start.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import lmdb
import trio

from l1.ground.faults import LocalError, Refused, first_of
from l1.node.api import make_app
from l1.node.chain import Chain
from l1.node.folder import AUTHORITY, found_chain, hold, join_chain, open_key, read_config, read_genesis
from l1.node.follower import WrongBlock, follow_blocks
from l1.node.proposer import propose_blocks
from l1.node.store import ChainStore
from l1.reader.transport import URL_FILE, Transport
from l1.rules.genesis import Parameters
from l1.serving.files import read_file
from l1.serving.listening import bind, serve
from l1.serving.process import PASSWORD, ask_password, log_to_stderr

DAY_MS = 86_400_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m l1.node", description="A node of an Interward chain.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    init = verbs.add_parser("init", help="make a new chain in a folder")
    init.add_argument("--name", required=True)
    init.add_argument("--credits", type=int, default=1_000_000_000)
    init.add_argument("--heartbeat-ms", type=int, default=Parameters().heartbeat_ms)
    init.add_argument("--block-ms", type=int, default=Parameters().block_ms)
    init.add_argument("--window-min-ms", type=int, default=Parameters().window_ms_min)
    init.add_argument("--key-window-ms", type=int, default=Parameters().key_window_ms)
    init.add_argument("--fee", type=int, default=Parameters().fee)
    init.add_argument("--fee-per-kib", type=int, default=Parameters().fee_per_kib)
    run = verbs.add_parser("run", help="run the authority's node")
    follow = verbs.add_parser("follow", help="follow a chain, executing every block again")
    follow.add_argument("--genesis", type=Path, required=True)
    follow.add_argument("--from", dest="source", required=True, help="URL of a node of the chain")
    for verb in (init, run, follow):
        verb.add_argument("--folder", type=Path, required=True)
    for verb in (init, run):
        verb.add_argument("--password-env", default=PASSWORD, help="environment variable that holds the password")
    for verb in (run, follow):
        verb.add_argument("--host")
        verb.add_argument("--port", type=int)
    return parser.parse_args(arguments)


def init(asked: argparse.Namespace) -> None:
    parameters = Parameters(
        heartbeat_ms=asked.heartbeat_ms,
        block_ms=asked.block_ms,
        window_ms_min=asked.window_min_ms,
        key_window_ms=asked.key_window_ms,
        fee=asked.fee,
        fee_per_kib=asked.fee_per_kib,
    )
    try:
        found_chain(
            asked.folder,
            name=asked.name,
            credits_total=asked.credits,
            parameters=parameters,
            password=ask_password(asked.password_env),
            time_ms=now_ms(),
        )
    except Refused as refusal:
        raise LocalError(f"no such chain can be: {refusal.detail}", "Change the option it names") from None


def run(asked: argparse.Namespace) -> None:
    with hold(asked.folder) as path:
        signer = open_key(asked.folder, AUTHORITY, ask_password(asked.password_env))
        with open_chain(asked.folder, path) as chain:
            if chain.genesis.authority != signer.public_key:
                raise LocalError("authority.key is not the key of genesis.json", "Restore the folder from a backup")
            drive = partial(propose_blocks, chain, signer)
            trio.run(live, chain, drive, asked)


def follow(asked: argparse.Namespace) -> None:
    genesis = read_file(asked.genesis, "Name the chain's genesis file.")
    join_chain(asked.folder, genesis, asked.source)
    with hold(asked.folder) as path, open_chain(asked.folder, path) as chain:

        async def drive() -> None:
            source = Transport(asked.source)
            await follow_blocks(chain, source)

        trio.run(live, chain, drive, asked)


@contextmanager
def open_chain(folder: Path, path: Path) -> Iterator[Chain]:
    """The chain of a folder, its store closed afterwards."""
    genesis = read_genesis(folder)
    store = ChainStore(path)
    try:
        yield Chain(genesis, store, now_ms=now_ms)
    finally:
        store.close()


async def live(chain: Chain, drive: Callable[[], Awaitable[None]], asked: argparse.Namespace) -> None:
    """Drive the chain and serve it until a signal; a second signal ends the process at once, which loses nothing."""
    config = read_config(asked.folder)
    listener, url = bind(asked.host or config.host, config.port if asked.port is None else asked.port)
    stop = trio.Event()
    async with trio.open_nursery() as serving:
        await serving.start(serve, make_app(chain), listener, stop.wait)
        async with trio.open_nursery() as driving:
            driving.start_soon(drive)
            (asked.folder / URL_FILE).write_text(url + "\n")
            sys.stdout.write(json.dumps({"ready": True, "url": url, "chain": chain.id.hex()}) + "\n")
            sys.stdout.flush()
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                await anext(signals)
            driving.cancel_scope.cancel()
        (asked.folder / URL_FILE).unlink(missing_ok=True)
        chain.close()
        stop.set()


def main(arguments: list[str]) -> int:
    asked = parse(arguments)
    log_to_stderr()
    try:
        {"init": init, "run": run, "follow": follow}[asked.verb](asked)
    except Exception as error:
        return explain(first_of(error))
    except KeyboardInterrupt:
        return 130
    return 0


def explain(error: BaseException) -> int:
    """One line about what ended the process, and the exit status. Our own bugs keep their traceback."""
    match error:
        case LocalError():
            sys.stderr.write(f"error: {error}\n")
            return 2
        case WrongBlock() | Refused():
            sys.stderr.write(f"error: {error}\n")
            return 1
        case lmdb.Error() | OSError():
            sys.stderr.write(
                f"error: the disk failed ({error}). Nothing half-written was kept; make room and start again\n"
            )
            return 1
    raise error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
