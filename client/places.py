"""Where a command finds its chain or its hospital: folders, environment variables, URLs. Shared click options.

Knows the files that `init` writes, not what the nodes do with them.
"""

import getpass
import os
import sys
import time
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from l1.ground.faults import LocalError
from l1.reader import URL_FILE, Reader, open_genesis
from l1.serving import read_file
from l2.desk import Desk
from l2.desk.words import ChannelView, RecordView

__all__ = [
    "become",
    "chain_options",
    "chain_reader",
    "channel_option",
    "find_channel",
    "find_record",
    "hospital_option",
    "node_command",
    "now_ms",
    "password",
]

PASSWORD = "INTERWARD_PASSWORD"

F = TypeVar("F", bound=Callable[..., Any])

hospital_option = click.option(
    "--folder",
    "-F",
    envvar="INTERWARD_HOSPITAL",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The hospital's folder.  [env: INTERWARD_HOSPITAL]",
)
channel_option = click.option(
    "--channel",
    "-c",
    "wanted",
    help="The channel: the begin of its id, or the peer's name. Not needed for the only one.",
)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def password(variable: str = PASSWORD, prompt: str = "Password: ") -> str:
    """From the environment, or asked for on a terminal."""
    found = os.environ.get(variable) or (getpass.getpass(prompt) if sys.stdin.isatty() else "")
    if not found:
        raise LocalError("there is no password", f"Set {variable}, or run this on a terminal.")
    return found


def become(command: list[str]) -> NoReturn:
    """Go on as another program: signals, terminal and exit status are then the node's own."""
    os.execv(command[0], command)  # noqa: S606 - our own interpreter, no shell


def node_command(*words: object) -> list[str]:
    """The command line of a node's own program, by this very interpreter."""
    return [sys.executable, "-m", *(str(word) for word in words)]


def chain_options(command: F) -> F:
    """`--folder`, or `--url` with `--genesis`: any chain's node, and the genesis by which its answers are verified."""
    path = click.Path(path_type=Path)
    options = (
        click.option("--folder", "-F", envvar="INTERWARD_CHAIN", type=path, help="A folder with genesis.json."),
        click.option("--url", "-u", envvar="INTERWARD_CHAIN_URL", help="URL of any node of the chain."),
        click.option("--genesis", "-g", type=path, help="The genesis file, if it is not in the folder."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@asynccontextmanager
async def chain_reader(folder: Path | None, url: str | None, genesis: Path | None) -> AsyncIterator[Reader]:
    """A reader that verifies everything from the genesis on."""
    if folder is None and (url is None or genesis is None):
        raise LocalError("no chain is named", "Give --folder, or --url with --genesis, or set INTERWARD_CHAIN.")
    file = genesis if genesis is not None else folder / "genesis.json"  # type: ignore[operator]
    known = open_genesis(read_file(file, "Name the chain's genesis file."), file)
    async with Reader(known, url or _url_of(folder), now_ms=now_ms) as reader:
        yield reader


def _url_of(folder: Path | None) -> str:
    """Where the chain's node listens: as the running node wrote, or by the config in a chain's or hospital's folder."""
    assert folder is not None
    with suppress(OSError):
        return (folder / URL_FILE).read_text().strip()
    for name in ("config.toml", "hospital.toml"):
        try:
            config = tomllib.loads((folder / name).read_text())
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise LocalError(f"{folder / name} cannot be read ({error})", "Correct it, or give --url.") from None
        if "chain_url" in config:
            return str(config["chain_url"])
        if config.get("port"):
            return f"http://{config.get('host', '127.0.0.1')}:{config['port']}"
    raise LocalError(f"{folder} does not say where its chain's node listens", "Give --url.")


async def find_channel(desk: Desk, wanted: str | None) -> ChannelView:
    """The channel that a person means: by the begin of its id, by the peer's name, or the only one. What is settled
    is meant only where nothing else is."""
    channels = await desk.channels()
    if wanted is None:
        found = channels
    else:
        found = [view for view in channels if view.id.startswith(wanted.lower()) or view.peer_name == wanted]
    if len(found) > 1:
        found = [view for view in found if view.state != "settled"] or found
    if len(found) == 1:
        return found[0]
    remedy = "Name one with --channel; `interward channel list` shows them."
    if not found:
        raise LocalError("there is no such channel" if wanted else "there is no channel", remedy)
    raise LocalError(f"{len(found)} channels could be meant", remedy)


async def find_record(desk: Desk, wanted: str) -> RecordView:
    """The record whose id begins so. Raises `LocalError` where there is none, or more."""
    found = [view for view in await desk.records() if view.record.startswith(wanted.lower())]
    if len(found) != 1:
        cause = f"{len(found)} records could be meant by {wanted}" if found else f"there is no record {wanted}"
        raise LocalError(cause, "`interward record list` shows them.")
    return found[0]
