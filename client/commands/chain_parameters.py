"""`interward chain parameters`: what a chain lives by, and changing it by more than half of the registrars."""

from pathlib import Path
from typing import Any

import click
import msgspec
import trio
from msgspec.structs import replace

from client.chain_places import chain_options, chain_reader
from client.output import Result, facts_table, verb
from client.places import password
from l1.ground.faults import LocalError, Refused
from l1.reader import ParametersForm, Reader, parameters_form, parameters_of
from l1.rules.genesis import Parameters
from l1.serving.files import read_file

__all__ = ["parameters"]

_ASKED_AGAIN = "Have its registrar write it again: interward chain parameters set … --out FILE"


class _Approval(msgspec.Struct, forbid_unknown_fields=True):
    """A registrar's consent to exactly these parameters, in hex: what `--out` writes and `--approval` reads."""

    parameters: ParametersForm
    key: str
    signature: str


@click.group()
def parameters() -> None:
    """What the chain lives by: windows, bonds, fees. More than half of the registrars change it."""


@verb(parameters, "show")
@chain_options
async def show(folder: Path | None, url: str | None, genesis: Path | None) -> Result:
    """Show the parameters that hold now, by a state proof, and how many registrars there are."""
    async with chain_reader(folder, url, genesis) as reader:
        now, registrars = await reader.parameters(), await reader.registrars()
    data = parameters_form(now) | {"registrars": [key.hex() for key in registrars]}
    facts = [(name, str(value)) for name, value in parameters_form(now).items()]
    return Result(data, facts_table("Parameters", [*facts, ("registrars", f"{len(registrars):,}")]))


@verb(parameters, "set")
@click.option("--fee", type=click.IntRange(0), help="Credits for every transaction.")
@click.option("--fee-per-kib", type=click.IntRange(0), help="And for every KiB that it begins.")
@click.option("--treasury", help="The account that fees go to, in hex.")
@click.option("--bond-min", type=click.IntRange(0), help="Least bond of a channel.")
@click.option("--window-min-ms", "window_ms_min", type=click.IntRange(1), help="Least challenge window.")
@click.option("--window-max-ms", "window_ms_max", type=click.IntRange(1), help="Longest challenge window.")
@click.option(
    "--approval",
    "approvals",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What another registrar wrote with --out. May be repeated.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write our approval; submit nothing.")
@chain_options
async def set_parameters(
    *,
    approvals: tuple[Path, ...],
    out: Path | None,
    folder: Path | None,
    url: str | None,
    genesis: Path | None,
    **changes: int | str | None,
) -> Result:
    """Change parameters, as the registrar of the chain in --folder.

    \b
    One registrar:    interward chain parameters set --fee 3 --folder CHAIN
    Several: each but the last writes its approval of the same change, and the last submits all of them:
      interward chain parameters set --fee 3 --out mine.json --folder CHAIN
      interward chain parameters set --fee 3 --approval mine.json --folder CHAIN

    Channels keep the window and bond of their opening.
    """
    from client.admission import registrar_of
    from l1.rules.fees import approve
    from l1.rules.transactions import SetParameters

    registrar = registrar_of(folder, password)
    async with chain_reader(folder, url, genesis) as reader:
        wanted = await _wanted(reader, {name: value for name, value in changes.items() if value is not None})
        own = approve(registrar, reader.chain, wanted)
        if out is not None:
            written = _Approval(_named(wanted), own[0].hex(), own[1].hex())
            await trio.Path(out).write_bytes(msgspec.json.format(msgspec.json.encode(written)) + b"\n")
            return Result(msgspec.to_builtins(written), f"The approval of change {wanted.serial} is in {out}.")
        others = [_approval(path, wanted) for path in approvals]
        included = await reader.send(registrar, SetParameters(parameters=wanted, approvals=(own, *others)))
    data = parameters_form(wanted) | {"height": included.height}
    return Result(data, f"Change {wanted.serial} of the parameters counts from block {included.height} on.")


async def _wanted(reader: Reader, changes: dict[str, Any]) -> Parameters:
    """The parameters of now with what is to change, as change number `serial`."""
    now = await reader.parameters()
    if not changes:
        raise LocalError("nothing is to be changed", "Name what: see `interward chain parameters set --help`.")
    try:
        return parameters_of(replace(_named(now), **changes, serial=now.serial + 1))
    except (ValueError, Refused) as error:
        raise LocalError(f"no such parameters can be ({error})", "Correct the option.") from None


def _named(parameters: Parameters) -> ParametersForm:
    return ParametersForm(**parameters_form(parameters))


def _approval(path: Path, wanted: Parameters) -> tuple[bytes, bytes]:
    """Another registrar's approval. Raises `LocalError` unless it is of these very parameters."""
    try:
        form = msgspec.json.decode(read_file(path, _ASKED_AGAIN), type=_Approval)
        approved, key, signature = (
            parameters_of(form.parameters),
            bytes.fromhex(form.key),
            bytes.fromhex(form.signature),
        )
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, Refused) as error:
        raise LocalError(f"{path} is no approval ({error})", _ASKED_AGAIN) from None
    if approved != wanted:
        differ = [name for name, value in parameters_form(approved).items() if value != parameters_form(wanted)[name]]
        raise LocalError(f"{path} approves of another change: {', '.join(differ)}", "Give the same options.")
    return key, signature
