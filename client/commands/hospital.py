"""`interward hospital`: begin, run and look after a hospital's node."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
import trio

from client.later import Later
from client.output import Result, Shown, facts_table, rows_table, verb
from client.places import become, hospital_option, node_command
from client.wording import moment, short
from l1.ground.faults import LocalError
from l2.desk.desk import Desk
from l2.desk.words import WORKERS_MAX, WorkerView

__all__ = ["hospital"]


@click.group()
def hospital() -> None:
    """A hospital's own node: its keys, its process, its backup."""


@hospital.command()
@hospital_option
@click.option("--name", required=True, help="The hospital's name on the chain.")
@click.option("--chain-url", required=True, help="URL of a chain's node.")
@click.option(
    "--genesis", required=True, type=click.Path(path_type=Path, exists=True), help="The chain's genesis file."
)
@click.option(
    "--listen", default="127.0.0.1:9800", show_default=True, help="Where other hospitals reach it, host:port."
)
@click.option("--desk", default="127.0.0.1:9880", show_default=True, help="Where its own desk listens, host:port.")
@click.option("--endpoint", help="What the chain tells others, host:port.  [default: as --listen]")
@click.option("--auto-fetch", is_flag=True, help="Fetch every record as soon as it is granted to us.")
@click.option("--auto-grant", is_flag=True, help="Answer requests by ourselves where a consent permits.")
@click.option(
    "--checkpoint-s", type=click.FloatRange(0), default=0.0, show_default=True, help="Settle so often; 0: never."
)
@click.option(
    "--workers",
    type=click.IntRange(1, WORKERS_MAX),
    default=1,
    show_default=True,
    help="Processes that the channels are spread over; later it is `workers` in hospital.toml.",
)
@click.option("--hsm-module", help="PKCS#11 module of an HSM that makes and keeps the root key, as libsofthsm2.so.")
@click.option("--hsm-token", help="The token's label. Its PIN: INTERWARD_HSM_PIN, or asked for.")
@click.option("--hsm-key", help="The root key's label in the token.  [default: interward-root]")
@click.option("--bench", is_flag=True, help="Let the desk write grants without records behind them. For tests only.")
def init(*, folder: Path, name: str, bench: bool, auto_fetch: bool, auto_grant: bool, **options: object) -> None:
    """Make a hospital: keys under a password, a certificate, a config that runs as it is, an admission to hand in."""
    command = node_command(
        *("l2.node", "init", "--folder", folder, "--name", name),
        *(word for option, value in options.items() if value is not None for word in (_flag(option), value)),
        *(flag for flag, on in (("--bench", bench), ("--auto-fetch", auto_fetch), ("--auto-grant", auto_grant)) if on),
    )
    status = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
    if status:
        raise click.exceptions.Exit(status)
    click.echo(f"{name} is made in {folder}.")
    click.echo(
        f"Next, the registrar: interward chain hospital admit {folder / 'admission.json'} --credits N --folder CHAIN"
    )
    click.echo(f"Then: interward hospital run --folder {folder}")


def _flag(option: str) -> str:
    return "--" + option.replace("_", "-")


@hospital.command()
@hospital_option
def run(folder: Path) -> None:
    """Run the node until Ctrl-C. It prints its addresses as one JSON line; logs go to standard error."""
    command = node_command("l2.node", "run", "--folder", folder)
    become(command)


@verb(hospital, "status")
@hospital_option
async def status(folder: Path) -> Result:
    """Show how the running node stands."""
    async with Desk.of_folder(folder) as desk:
        found = await desk.status()
    facts = [
        ("hospital", found.hospital),
        ("chain", found.chain),
        ("block", f"{found.height:,}, chain clock {moment(found.clock_ms)}"),
        ("lines", f"listens on {found.endpoint}"),
        ("desk", found.url),
        ("channels", f"{found.channels:,}"),
        ("records", f"{found.records:,}"),
        ("running", f"since {moment(found.started_ms)}"),
        *([("waiting", found.waiting)] if found.waiting else []),
        *(("resuming", one) for one in found.resuming),
        *((f"worker {one.number}", _worker(one)) for one in found.workers),
    ]
    facts += [("warning", warning) for warning in found.warnings]
    return Result(msgspec.structs.asdict(found), facts_table(found.name, facts))


def _worker(one: WorkerView) -> str:
    restarts = f", started again {one.restarts} times" if one.restarts else ""
    return f"{one.state}, process {one.pid}, since {moment(one.since_ms)}{restarts}"


@verb(hospital, "backup")
@hospital_option
@click.argument("to", type=click.Path(path_type=Path, resolve_path=True))
async def backup(folder: Path, to: Path) -> Result:
    """Copy the hospital's data to the new folder TO while it runs."""
    async with Desk.of_folder(folder) as desk:
        done = await desk.backup(to)
    return Result(msgspec.structs.asdict(done), f"{done.bytes:,} bytes copied to {done.to}.")


@verb(hospital, "restore")
@hospital_option
@click.option("--from-peers", is_flag=True, help="Get the channels of a stopped hospital back from peers and chain.")
@click.option(
    "--backup", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Copy this backup to --folder."
)
@click.option(
    "--wait-s", type=click.FloatRange(1), default=600.0, show_default=True, help="For peers, at most so long."
)
async def restore(folder: Path, *, from_peers: bool, backup: Path | None, wait_s: float) -> Result:
    """Get a hospital's channels back: from its peers and the chain, or from a backup into a new folder.

    Both are verified: by our own signatures, by the peers' and by the heads that the chain has settled. A restored
    hospital signs nothing in a channel before its peer has signed what it holds.
    """
    if from_peers == (backup is not None):
        raise LocalError("say where from", "Give either --from-peers or --backup DIR.")
    source = ("--from-peers", "--wait-s", wait_s) if backup is None else ("--backup", backup)
    lines = await _told("restore", folder, *source)
    final = {line["channel"]: line for line in lines if "channel" in line}
    ok = bool(lines) and lines[-1].get("ok") is True
    return Result({"ok": ok, "channels": list(final.values())}, _restored(final), ok=ok)


def _restored(channels: dict[str, Any]) -> Shown:
    rows = [
        (
            short(channel),
            line.get("peer", ""),
            line.get("state", "copied"),
            f"{line['own']:,}",
            f"{line['theirs']:,}",
            " / ".join(short(root) for root in line.get("roots", ())),
            line.get("why") or ("verified" if line.get("ok", True) else "not verified"),
            line.get("remedy", ""),
        )
        for channel, line in channels.items()
    ]
    columns = ("channel", "peer", "state", "own entries", "peer's entries", "roots, own / peer's", "outcome", "remedy")
    return rows_table("Restored channels", columns, rows)


@verb(hospital, "doctor")
@hospital_option
async def doctor(folder: Path) -> Result:
    """Examine stores, keys, clock, disk, chain and peers. Says what to do; exit status 1 if anything is wrong."""
    said = (await _told("doctor", folder))[-1]
    rows = [("ok" if one["ok"] else "WRONG", one["name"], one["found"], one["remedy"]) for one in said["checks"]]
    return Result(said, rows_table("Examination", ("", "what", "found", "remedy"), rows), ok=said["ok"])


async def _told(command: str, folder: Path, *options: object) -> list[dict[str, Any]]:
    """Run a command of the node's own program; the JSON lines that it said. Progress is shown as it comes."""
    node = await trio.lowlevel.open_process(
        node_command("l2.node", command, "--folder", folder, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert node.stdout is not None
    assert node.stderr is not None
    lines: list[dict[str, Any]] = []
    errors: list[bytes] = []

    async def complain(stream: trio.abc.ReceiveStream) -> None:
        async for data in stream:
            errors.append(bytes(data))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(complain, node.stderr)
        rest = b""
        async for data in node.stdout:
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                lines.append(json.loads(line))
                _show_progress(lines[-1])
    if await node.wait() not in (0, 1) or not lines:
        said = [line for line in b"".join(errors).decode(errors="replace").splitlines() if line.startswith("error: ")]
        raise LocalError(said[-1].removeprefix("error: ") if said else "the node's program ended without a word")
    return lines


def _show_progress(line: dict[str, Any]) -> None:
    """How far a channel has come back, on standard error."""
    if line.get("state") and "ok" not in line:
        parts = f"{line['own']:,} own entries, {line['theirs']:,} of {line['their_whole']:,} of the peer's"
        sys.stderr.write(f"{short(line['channel'])} {line['peer']}: {line['state']}, {parts}\n")


WATCHTOWERS = "The watchtowers that answer on the chain while this hospital is offline."
KEYS = "The hospital's keys on the chain: list, change, end, recover."

hospital.add_command(Later("tower", "client.commands.hospital_tower:hospital_tower", WATCHTOWERS))
hospital.add_command(Later("keys", "client.commands.keys:keys", KEYS))
