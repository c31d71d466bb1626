"""`interward chain`: begin, run, follow and ask a chain. Answers are verified by the genesis before they are shown."""

import subprocess
from pathlib import Path
from typing import Any

import click

from client.chain_places import chain_options, chain_reader
from client.commands.chain_parameters import parameters
from client.output import Result, facts_table, rows_table, verb
from client.places import become, node_command, now_ms, password
from client.wording import duration, moment
from l1.ground.faults import LocalError
from l1.ground.limits import CREDITS_MAX, PERIOD_MS_MAX
from l1.serving.files import read_file

__all__ = ["chain"]


@click.group()
def chain() -> None:
    """The layer-1 chain: begin, run or follow one, and ask it."""


MS = click.IntRange(1, PERIOD_MS_MAX)
FOLDER = click.option("--folder", "-F", envvar="INTERWARD_CHAIN", required=True, type=click.Path(path_type=Path))


@chain.command()
@FOLDER
@click.option("--name", required=True, help="The chain's name, for people.")
@click.option("--credits", "total", type=click.IntRange(1, CREDITS_MAX), default=1_000_000_000, show_default=True)
@click.option("--heartbeat-ms", type=MS, default=5_000, show_default=True, help="Between empty blocks.")
@click.option("--block-ms", type=MS, default=100, show_default=True, help="Between full blocks.")
@click.option("--window-min-ms", type=MS, default=2_000, show_default=True, help="Least challenge window.")
@click.option("--fee", type=click.IntRange(0), default=0, show_default=True, help="Credits for every transaction.")
@click.option("--fee-per-kib", type=click.IntRange(0), default=0, show_default=True, help="And for every KiB of it.")
def init(
    *,
    folder: Path,
    name: str,
    total: int,
    heartbeat_ms: int,
    block_ms: int,
    window_min_ms: int,
    fee: int,
    fee_per_kib: int,
) -> None:
    """Make a new chain: genesis.json, authority.key, registrar.key, config.toml. The registrar owns all credits."""
    command = node_command(
        *("l1.node", "init", "--folder", folder, "--name", name, "--credits", total),
        *("--heartbeat-ms", heartbeat_ms, "--block-ms", block_ms, "--window-min-ms", window_min_ms),
        *("--fee", fee, "--fee-per-kib", fee_per_kib),
    )
    status = subprocess.run(command, check=False).returncode
    if status:
        raise click.exceptions.Exit(status)
    click.echo(f"{name} is made in {folder}. Keep authority.key and registrar.key; hand out genesis.json.")
    click.echo(f"Next: interward chain run --folder {folder}")


@chain.command()
@FOLDER
@click.option("--host", help="Overrides config.toml.")
@click.option("--port", type=int, help="Overrides config.toml; 0 takes any free port.")
def run(folder: Path, host: str | None, port: int | None) -> None:
    """Run the authority's node until Ctrl-C. It prints its URL as one JSON line; logs go to standard error."""
    command = node_command("l1.node", "run", "--folder", folder)
    command += ["--host", host] if host else []
    command += ["--port", str(port)] if port is not None else []
    become(command)


@chain.command()
@FOLDER
@click.option(
    "--genesis", required=True, type=click.Path(path_type=Path, exists=True), help="The chain's genesis file."
)
@click.option("--from", "source", required=True, help="URL of a node of the chain.")
@click.option("--port", type=int, help="Where to answer; any free port by default.")
def follow(folder: Path, genesis: Path, source: str, port: int | None) -> None:
    """Follow a chain: pull its blocks, execute every one again, and refuse a wrong state root."""
    command = node_command("l1.node", "follow", "--folder", folder, "--genesis", genesis, "--from", source)
    command += ["--port", str(port)] if port is not None else []
    become(command)


@verb(chain, "status")
@chain_options
async def status(folder: Path | None, url: str | None, genesis: Path | None) -> Result:
    """How far the chain is, by verified headers."""
    async with chain_reader(folder, url, genesis) as reader:
        tip = await reader.sync()
        said = await reader.status()
    data: dict[str, Any] = {
        "chain": reader.chain.hex(),
        "name": reader.genesis.name,
        "height": tip.height,
        "time_ms": tip.time_ms,
        "clock_ms": tip.clock_ms,
        "age_ms": max(0, now_ms() - tip.time_ms),
        "state": tip.state.hex(),
        "mempool": said.mempool,
    }
    facts = [
        ("chain", reader.chain.hex()),
        ("block", f"{tip.height:,}, made {duration(data['age_ms'])} ago"),
        ("time", moment(tip.time_ms)),
        ("chain clock", moment(tip.clock_ms)),
        ("state", tip.state.hex()),
        ("waiting", f"{said.mempool:,} transactions"),
    ]
    return Result(data, facts_table(f"Chain {reader.genesis.name}", facts))


@verb(chain, "block")
@click.argument("height", type=click.IntRange(0))
@chain_options
async def block(height: int, folder: Path | None, url: str | None, genesis: Path | None) -> Result:
    """Show a block's transactions. Its header and transaction root are verified."""
    from client.chain_blocks import fetch_block

    async with chain_reader(folder, url, genesis) as reader:
        data = await fetch_block(reader, height)
    rows = [(shown["id"], shown["action"]) for shown in data["transactions"]]
    title = f"Block {height} of {moment(data['time_ms'])}"
    return Result(data, rows_table(title, ("transaction", "action"), rows))


@verb(chain, "tx")
@click.argument("transaction")
@chain_options
async def tx(transaction: str, folder: Path | None, url: str | None, genesis: Path | None) -> Result:
    """Say where a transaction stands, with its inclusion verified."""
    async with chain_reader(folder, url, genesis) as reader:
        found = await reader.find_transaction(_hex(transaction, 32))
    if found is None:
        data: dict[str, Any] = {"transaction": transaction, "included": False}
        return Result(data, f"{transaction} is in no block (it waits, or is unknown).", ok=False)
    data = {"transaction": transaction, "included": True, "height": found.height, "index": found.index}
    return Result(data, f"{transaction} is transaction {found.index} of block {found.height}.")


@verb(chain, "account")
@click.argument("account")
@chain_options
async def account(account: str, folder: Path | None, url: str | None, genesis: Path | None) -> Result:
    """Show an account's credits, by a state proof. ACCOUNT is its id in hex."""
    wanted = _hex(account, 20)
    async with chain_reader(folder, url, genesis) as reader:
        found = await reader.account(wanted)
    held = 0 if found is None else found.credits
    data = {"account": account, "exists": found is not None, "credits": held, "nonce": found.nonce if found else 0}
    return Result(data, f"{account}: {held:,} credits.")


@verb(chain, "verify")
@chain_options
async def verify(folder: Path | None, url: str | None, genesis: Path | None) -> Result:
    """Verify every block from the genesis on: headers, signatures, clock, transaction roots."""
    from client.chain_blocks import fetch_block

    async with chain_reader(folder, url, genesis) as reader:
        tip = await reader.sync()
        count = 0
        for height in range(1, tip.height + 1):
            count += len((await fetch_block(reader, height))["transactions"])
    data = {
        "chain": reader.chain.hex(),
        "height": tip.height,
        "transactions": count,
        "state": tip.state.hex(),
        "ok": True,
    }
    return Result(
        data, f"{tip.height} blocks with {count} transactions follow from the genesis {reader.chain.hex()[:16]}…."
    )


@verb(chain, "pay")
@click.argument("account")
@click.argument("credits", type=click.IntRange(1, CREDITS_MAX))
@chain_options
async def pay(account: str, credits: int, folder: Path | None, url: str | None, genesis: Path | None) -> Result:  # noqa: A002
    """Give CREDITS to ACCOUNT (its id in hex), as the registrar of the chain in --folder.

    \b
    A watchtower's account:   interward tower status
    A hospital's account:     its id, as in `interward hospital status`
    """
    from client.admission import registrar_of
    from l1.rules.transactions import Transfer

    wanted = _hex(account, 20)
    registrar = registrar_of(folder, password)
    async with chain_reader(folder, url, genesis) as reader:
        included = await reader.send(registrar, Transfer(to=wanted, amount=credits))
        found = await reader.account(wanted)
    data = {"account": account, "paid": credits, "height": included.height, "credits": found.credits if found else 0}
    return Result(data, f"{credits:,} credits paid in block {included.height}; the account has {data['credits']:,}.")


@chain.group()
def hospital() -> None:
    """The hospitals that the chain knows, and admitting one."""


@verb(hospital, "list")
@chain_options
async def list_hospitals(folder: Path | None, url: str | None, genesis: Path | None) -> Result:
    """List the hospitals that were admitted, each by a state proof."""
    async with chain_reader(folder, url, genesis) as reader:
        found = await reader.hospitals()
    data = [{"id": row.id.hex(), "name": row.name, "endpoint": row.endpoint, "keys": len(row.keys)} for row in found]
    return Result(
        data, rows_table("Hospitals", ("id", "name", "endpoint", "keys"), [tuple(row.values()) for row in data])
    )


@verb(hospital, "admit")
@click.argument("admission", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--credits", "gift", type=click.IntRange(0), default=0, show_default=True, help="Its first credits.")
@chain_options
async def admit_hospital(
    admission: Path, gift: int, folder: Path | None, url: str | None, genesis: Path | None
) -> Result:
    """Admit a hospital, as the registrar of the chain in --folder. ADMISSION is what `hospital init` wrote."""
    from client.admission import admit, read_admission, registrar_of

    wanted = read_admission(read_file(admission, "Use the admission.json that `interward hospital init` wrote."))
    registrar = registrar_of(folder, password)
    async with chain_reader(folder, url, genesis) as reader:
        made, included = await admit(reader, registrar, wanted, gift)
    data = {"hospital": made.hex(), "name": wanted.name, "credits": gift, "height": included.height}
    return Result(
        data, f"{wanted.name} is hospital {made.hex()}, admitted in block {included.height} with {gift:,} credits."
    )


def _hex(text: str, size: int) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != size:
        raise LocalError(f"{text!r} is not {2 * size} hex digits", "Copy it whole.")
    return found


chain.add_command(parameters)
