"""Where a command finds its chain: folders, environment variables, URLs. Shared click options.

Knows the files that `init` writes, not what the nodes do with them.
"""

import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from client.places import now_ms
from l1.ground.faults import LocalError
from l1.reader import URL_FILE, Reader, open_genesis
from l1.serving.files import read_file

__all__ = ["chain_options", "chain_reader"]

F = TypeVar("F", bound=Callable[..., Any])


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
