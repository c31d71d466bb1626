"""`interward dispute`: proof of misconduct that a hospital keeps, and what the chain made of it."""

from pathlib import Path

import click
import msgspec

from client.output import Result, facts_table, rows_table, verb
from client.places import channel_option, find_channel, hospital_option
from client.wording import amount, moment, short
from l1.serving.files import read_file
from l2.desk.desk import Desk

__all__ = ["dispute"]


@click.group()
def dispute() -> None:
    """Misconduct of other hospitals: found, kept and reported to the chain without you.

    \b
    What was found:            interward dispute list
    What the chain says:       interward dispute status
    A release kept back:       interward dispute demand RECEIPT
    Shown to somebody else:    interward dispute learn PROOF
    """


@verb(dispute, "list")
@hospital_option
async def list_disputes(folder: Path) -> Result:
    """List the cases that the hospital keeps, each with its charge and how far it has come."""
    async with Desk.of_folder(folder) as desk:
        found = await desk.disputes()
    rows = [
        (short(one.channel), one.number, one.peer_name, one.charge, f"{one.bytes:,} bytes", one.stand, one.detail)
        for one in found
    ]
    columns = ("channel", "case", "peer", "charge", "evidence", "stands", "what happened")
    return Result([msgspec.structs.asdict(one) for one in found], rows_table("Cases", columns, rows))


@verb(dispute, "show")
@click.argument("case", type=click.IntRange(0))
@channel_option
@hospital_option
async def show(case: int, wanted: str | None, folder: Path) -> Result:
    """Show the evidence of CASE, as the chain takes it. It holds no clinical content."""
    async with Desk.of_folder(folder) as desk:
        channel = (await find_channel(desk, wanted)).id
        found = await desk.dispute(channel, case)
    facts = [("channel", found.channel), ("charge", found.charge), ("evidence", found.evidence)]
    return Result(msgspec.structs.asdict(found), facts_table(f"Case {case}", facts))


@verb(dispute, "file")
@click.argument("case", type=click.IntRange(0))
@channel_option
@hospital_option
async def file(case: int, wanted: str | None, folder: Path) -> Result:
    """Report CASE to the chain now. The hospital does so by itself; the chain refuses what it knows already."""
    async with Desk.of_folder(folder) as desk:
        channel = (await find_channel(desk, wanted)).id
        done = await desk.file_dispute(channel, case)
    return Result({"channel": channel, "case": case, "height": done.height}, f"Reported in block {done.height:,}.")


@verb(dispute, "status")
@channel_option
@hospital_option
async def status(wanted: str | None, folder: Path) -> Result:
    """Show how the chain stands to both sides of a channel: claims that wait, verdicts, bonds."""
    async with Desk.of_folder(folder) as desk:
        channel = (await find_channel(desk, wanted)).id
        found = await desk.quarrels(channel)
    rows = [
        (
            one.side,
            short(one.hospital),
            one.phase,
            amount(one.bond),
            one.guilty or ("stale close" if one.stale else ""),
            ", ".join(f"{charge} until {moment(until)}" for charge, until in one.claims),
        )
        for one in found
    ]
    columns = ("side", "hospital", "channel is", "bond", "guilty of", "claims that wait")
    return Result([msgspec.structs.asdict(one) for one in found], rows_table("On the chain", columns, rows))


@verb(dispute, "prove")
@click.argument("access", type=click.IntRange(0))
@channel_option
@hospital_option
async def prove(access: int, wanted: str | None, folder: Path) -> Result:
    """Build evidence out of the stored logs that the peer's entry ACCESS is an access that the chain punishes."""
    async with Desk.of_folder(folder) as desk:
        channel = (await find_channel(desk, wanted)).id
        found = await desk.prove_access(channel, access)
    size = len(found.evidence) // 2
    facts = [("charge", found.charge), ("evidence", f"{size:,} bytes: {found.evidence}")]
    return Result({**msgspec.structs.asdict(found), "bytes": size}, facts_table(f"Access {access}", facts))


@verb(dispute, "learn")
@click.argument("proof", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@hospital_option
async def learn(proof: Path, folder: Path) -> Result:
    """Compare PROOF, an entry proof that an auditor or another hospital was shown, with what this hospital holds.

    A peer that signed two logs is found by the entry in which they differ, though each saw only one. The case is kept
    and reported as any other.
    """
    text = read_file(proof, "Use a file that `interward audit prove` wrote.").decode(errors="replace")
    async with Desk.of_folder(folder) as desk:
        found = await desk.learn(text)
    said = "; ".join(f"case {one.number}: {one.charge}, {one.detail}" for one in found)
    data = [msgspec.structs.asdict(one) for one in found]
    return Result(data, said or "It does not contradict what this hospital holds.")


@verb(dispute, "demand")
@click.argument("receipt", type=click.IntRange(0))
@channel_option
@hospital_option
async def demand(receipt: int, wanted: str | None, folder: Path) -> Result:
    """Have the chain demand the secret that our entry RECEIPT is for. Unanswered in a window, the peer forfeits."""
    async with Desk.of_folder(folder) as desk:
        channel = (await find_channel(desk, wanted)).id
        done = await desk.demand(channel, receipt)
    return Result({"channel": channel, "height": done.height}, f"Demanded in block {done.height:,}.")
