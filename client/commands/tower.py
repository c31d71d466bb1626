"""`interward tower`: begin, run and ask a watchtower. Naming one is the hospital's: `interward hospital tower`."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click
import msgspec

from client.output import Result, facts_table, rows_table, verb
from client.places import become, node_command
from client.wording import amount, moment, short
from l1.ground.faults import LocalError
from l1.reader import open_genesis
from l1.serving.files import read_file
from l2.protocol.answer_proof import check_answer, load_answer
from l2.vigil import URL_FILE, AnswerView, Watchtower

__all__ = ["tower"]

PAGE = 500

tower_option = click.option(
    "--folder",
    "-F",
    envvar="INTERWARD_TOWER",
    type=click.Path(path_type=Path, file_okay=False),
    help="The tower's folder.  [env: INTERWARD_TOWER]",
)
url_option = click.option("--url", "-u", help="Ask the tower at this URL instead.")


@click.group()
def tower() -> None:
    """A watchtower: it answers on the chain for hospitals that are offline, and is paid by whoever cheated.

    \b
    Its operator:   interward tower init …    interward tower run
    A hospital:     interward hospital tower add URL --reward 20
    """


def _folder(folder: Path | None) -> Path:
    if folder is None:
        raise LocalError("no tower is named", "Give --folder, or set INTERWARD_TOWER.")
    return folder


@asynccontextmanager
async def _asked(folder: Path | None, url: str | None) -> AsyncIterator[Watchtower]:
    if url is None:
        try:
            url = (_folder(folder) / URL_FILE).read_text().strip()
        except OSError:
            raise LocalError(f"the tower in {folder} is not running", "Start it: `interward tower run`.") from None
    async with Watchtower(url) as found:
        yield found


@tower.command()
@tower_option
@click.option("--name", required=True, help="What people call it.")
@click.option("--chain-url", required=True, help="URL of a chain's node.")
@click.option(
    "--genesis", required=True, type=click.Path(path_type=Path, exists=True), help="The chain's genesis file."
)
@click.option("--listen", default="127.0.0.1:8870", show_default=True, help="Where hospitals reach it, host:port.")
def init(*, folder: Path | None, name: str, chain_url: str, genesis: Path, listen: str) -> None:
    """Make a tower: a key under a password, and a config that runs as it is."""
    where = _folder(folder)
    command = node_command(
        *("l2.tower", "init", "--folder", where, "--name", name),
        *("--chain-url", chain_url, "--genesis", genesis, "--listen", listen),
    )
    status = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
    if status:
        raise click.exceptions.Exit(status)
    click.echo(f"{name} is made in {where}.")
    click.echo(f"Next: interward tower run --folder {where}")
    click.echo("Then each hospital that wants it: interward hospital tower add URL --reward 20")


@tower.command()
@tower_option
def run(folder: Path | None) -> None:
    """Run the tower until Ctrl-C. It prints its URL as one JSON line; logs go to standard error."""
    become(node_command("l2.tower", "run", "--folder", _folder(folder)))


@verb(tower, "status")
@tower_option
@url_option
async def status(folder: Path | None, url: str | None) -> Result:
    """Show how the running tower stands."""
    async with _asked(folder, url) as asked:
        found = await asked.status()
    facts = [
        ("tower", found.tower),
        ("chain", found.chain),
        ("block", f"{found.height:,}, chain clock {moment(found.clock_ms)}"),
        ("watched", f"{found.watched:,} channels' sides"),
        ("closes seen", f"{found.closes:,}, {found.waiting:,} answers under way"),
        ("on disk", f"{found.bytes:,} bytes"),
    ]
    return Result(msgspec.structs.asdict(found), facts_table(found.name, facts))


@verb(tower, "answers")
@tower_option
@url_option
async def answers(folder: Path | None, url: str | None) -> Result:
    """List the closes of watched channels, and what the tower did about each."""
    async with _asked(folder, url) as asked:
        found = await _all(asked)
    rows = [
        (
            short(one.channel),
            one.side,
            short(one.hospital),
            one.stand,
            f"{one.posted:,}",
            f"{one.shown:,}" if one.shown else "",
            one.height or "",
            moment(one.closes_at_ms),
            amount(one.reward) if one.settled else "",
        )
        for one in found
    ]
    columns = ("channel", "side", "for", "stands", "posted", "shown", "block", "window ends", "earned")
    return Result([msgspec.structs.asdict(one) for one in found], rows_table("Closes", columns, rows))


async def _all(asked: Watchtower) -> list[AnswerView]:
    found: list[AnswerView] = []
    after = ""
    while page := await asked.answers(after=after, count=PAGE):
        found += page
        after = f"{page[-1].channel}{page[-1].side:02x}"
    return found


@verb(tower, "prove")
@click.argument("wanted", metavar="CHANNEL")
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Write the proof to this new file.")
@tower_option
@url_option
async def prove(*, wanted: str, save: Path | None, folder: Path | None, url: str | None) -> Result:
    """Prove that the tower answered for CHANNEL (the begin of its id): its challenge in a signed block."""
    async with _asked(folder, url) as asked:
        found = [one for one in await _all(asked) if one.channel.startswith(wanted) and one.height is not None]
        if not found:
            raise LocalError(f"no answer for a channel {wanted}… stands in a block", "See `interward tower answers`.")
        if len({one.channel for one in found}) > 1:
            raise LocalError(f"{wanted} is the begin of several channels' ids", "Give more of it.")
        proof = await asked.proof(bytes.fromhex(found[0].channel), found[0].side)
    if save is not None:
        _write(save, proof)
    return Result(msgspec.json.decode(proof), f"The proof is in {save}." if save else proof.decode())


def _write(path: Path, content: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise LocalError(f"{path} cannot be written ({error.strerror})", "Name a new file.") from None


@verb(tower, "verify")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--genesis", "-g", required=True, type=click.Path(path_type=Path), help="The chain's genesis file.")
async def verify(file: Path, genesis: Path) -> Result:
    """Check what `tower prove` wrote, by the genesis alone: neither tower nor chain node is asked."""
    known = open_genesis(read_file(genesis, "Name the chain's genesis file."), genesis)
    said = check_answer(load_answer(read_file(file, "Name a file that `interward tower prove` wrote.")), known)
    data = {name: value.hex() if isinstance(value, bytes) else value for name, value in said._asdict().items()}
    facts = [
        ("tower", data["tower"]),
        ("channel", data["channel"]),
        ("showed", f"{said.size:,} entries of side {said.side}"),
        ("in block", f"{said.height:,}, at {moment(said.time_ms)}"),
    ]
    return Result({**data, "ok": True}, facts_table("The tower answered", facts))
