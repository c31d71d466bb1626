"""Where a command finds its hospital, and in it a channel or a record; how it becomes a node. Shared click options.

The chain's are in `client.chain_places`.
"""

import getpass
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from l1.ground.faults import LocalError

if TYPE_CHECKING:
    from l2.desk.desk import Desk
    from l2.desk.words import ChannelView, RecordView

__all__ = [
    "become",
    "channel_option",
    "find_channel",
    "find_record",
    "hospital_option",
    "node_command",
    "now_ms",
    "password",
]

PASSWORD = "INTERWARD_PASSWORD"

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


async def find_channel(desk: "Desk", wanted: str | None) -> "ChannelView":
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


async def find_record(desk: "Desk", wanted: str) -> "RecordView":
    """The record whose id begins so. Raises `LocalError` where there is none, or more."""
    found = [view for view in await desk.records() if view.record.startswith(wanted.lower())]
    if len(found) != 1:
        cause = f"{len(found)} records could be meant by {wanted}" if found else f"there is no record {wanted}"
        raise LocalError(cause, "`interward record list` shows them.")
    return found[0]
