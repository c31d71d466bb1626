"""`interward channel`: open, watch and end channels with other hospitals."""

from pathlib import Path

import click
import msgspec

from client.output import Result, facts_table, rows_table, verb
from client.places import channel_option, find_channel, hospital_option
from client.story import advice_of, reason_of, tell
from client.units import duration_ms
from client.wording import amount, moment, short
from l2.desk.desk import Desk
from l2.desk.words import ChannelView, LogView, OpenChannel

__all__ = ["channel"]


@click.group()
def channel() -> None:
    """Channels with other hospitals: two logs, two deposits, two bonds, one challenge window."""


CREDITS = click.IntRange(0)


@verb(channel, "open")
@click.argument("peer")
@click.option("--deposit", type=CREDITS, required=True, help="Our deposit, for access fees.")
@click.option("--peer-deposit", type=CREDITS, help="The peer's deposit.  [default: the same]")
@click.option("--bond", type=CREDITS, required=True, help="What each side forfeits on proven misconduct.")
@click.option("--window", default="24h", show_default=True, help="The challenge window: 90s, 10m, 24h, 7d.")
@hospital_option
async def open_channel(
    *, peer: str, deposit: int, peer_deposit: int | None, bond: int, window: str, folder: Path
) -> Result:
    """Open a channel with PEER: a hospital's name or id. Both nodes sign, the chain locks deposits and bonds."""
    wanted = OpenChannel(
        peer=peer,
        deposit=deposit,
        peer_deposit=deposit if peer_deposit is None else peer_deposit,
        bond=bond,
        window_ms=duration_ms(window),
    )
    async with Desk.of_folder(folder) as desk:
        made = await desk.open_channel(wanted)
    return Result({"channel": made}, f"Channel {made} is open.")


@verb(channel, "list")
@hospital_option
async def list_channels(folder: Path) -> Result:
    """List the hospital's channels."""
    async with Desk.of_folder(folder) as desk:
        found = await desk.channels()
    rows = [
        (
            short(view.id),
            view.peer_name,
            view.state,
            f"{view.own.size:,}",
            f"{view.theirs.size:,}",
            f"{view.receipted:,}",
        )
        for view in found
    ]
    columns = ("channel", "peer", "state", "own entries", "peer's", "acknowledged")
    return Result([msgspec.to_builtins(view) for view in found], rows_table("Channels", columns, rows))


@verb(channel, "show")
@channel_option
@hospital_option
async def show(wanted: str | None, folder: Path) -> Result:
    """Show all there is to know about a channel."""
    async with Desk.of_folder(folder) as desk:
        view = await find_channel(desk, wanted)
    return Result(msgspec.to_builtins(view), facts_table(f"Channel with {view.peer_name}", _facts(view)))


def _facts(view: ChannelView) -> list[tuple[str, object]]:
    """What a person wants to know first stands first; what is nothing out of the ordinary is left out."""
    own, peer = view.deposits[view.side], view.deposits[1 - view.side]
    return [
        ("id", view.id),
        ("peer", view.peer),
        (
            "state",
            view.state if view.phase in (view.state, "open") else f"{view.state}, {view.phase.replace('_', ' ')}",
        ),
        ("reason", view.reason),
        ("line", "connected" if view.connected else "not connected"),
        ("deposits", f"ours {amount(own)}, the peer's {amount(peer)}"),
        ("bond", f"{amount(view.bond)} of each"),
        ("opened", f"in block {view.opened_at:,}" if view.opened_at else ""),
        ("window ends", f"{moment(view.closes_at_ms)} of the chain clock" if view.closes_at_ms else ""),
        ("own log", f"{_log(view.own)}; {view.receipted:,} acknowledged"),
        ("peer's log", _log(view.theirs)),
        ("void entries", f"{view.voids:,}"),
    ]


def _log(log: LogView) -> str:
    settled = f"{log.settled_size:,} settled" if log.settled_size else "none settled"
    return f"{log.size:,} entries, {settled}, {amount(log.spent)} spent"


@verb(channel, "explain")
@channel_option
@hospital_option
async def explain(wanted: str | None, folder: Path) -> Result:
    """Tell the story of a channel in plain words: what happened, why, how it stands, what to do."""
    async with Desk.of_folder(folder) as desk:
        story = await desk.story((await find_channel(desk, wanted)).id)
    data = msgspec.to_builtins(story) | {"reason": reason_of(story), "advice": advice_of(story.channel)}
    return Result(data, "\n".join(tell(story)))


@verb(channel, "deposit")
@click.argument("added", metavar="AMOUNT", type=click.IntRange(1))
@channel_option
@hospital_option
async def deposit(added: int, wanted: str | None, folder: Path) -> Result:
    """Add AMOUNT credits to our deposit."""
    async with Desk.of_folder(folder) as desk:
        view = await find_channel(desk, wanted)
        await desk.deposit(view.id, added)
    return Result({"channel": view.id, "added": added}, f"{added:,} credits added to channel {short(view.id)}….")


@verb(channel, "checkpoint")
@channel_option
@hospital_option
async def checkpoint(wanted: str | None, folder: Path) -> Result:
    """Settle the newest heads that both hospitals signed."""
    async with Desk.of_folder(folder) as desk:
        view = await find_channel(desk, wanted)
        done = await desk.checkpoint(view.id)
    text = f"Block {done.height} holds {done.own_size:,} own entries and {done.peer_size:,} of the peer's."
    return Result(msgspec.structs.asdict(done), text)


@verb(channel, "close")
@click.option("--alone", is_flag=True, help="Post our newest commitments and open the challenge window.")
@click.option("--lost", is_flag=True, help="Close alone without a commitment of ours: for a disk that may be old.")
@channel_option
@hospital_option
async def close(alone: bool, lost: bool, wanted: str | None, folder: Path) -> Result:
    """Close a channel together with the peer, at once. If it does not answer: --alone, which takes the window."""
    async with Desk.of_folder(folder) as desk:
        view = await find_channel(desk, wanted)
        done = await desk.close(view.id, alone=alone, lost=lost)
    ending = "and is settled" if done.how == "together" else "and settles after the challenge window"
    text = f"Channel {short(view.id)}… closed {done.how} in block {done.height} {ending}."
    return Result(msgspec.structs.asdict(done), text)


@verb(channel, "challenge")
@channel_option
@hospital_option
async def challenge(wanted: str | None, folder: Path) -> Result:
    """Show the chain the newest commitments we hold. The node does so by itself; this is for doubt."""
    async with Desk.of_folder(folder) as desk:
        view = await find_channel(desk, wanted)
        await desk.challenge(view.id)
    return Result({"channel": view.id}, f"The chain has our newest commitments of channel {short(view.id)}….")


@verb(channel, "settle")
@channel_option
@hospital_option
async def settle(wanted: str | None, folder: Path) -> Result:
    """Pay a channel out whose challenge window is over."""
    async with Desk.of_folder(folder) as desk:
        view = await find_channel(desk, wanted)
        done = await desk.settle(view.id)
    return Result(msgspec.structs.asdict(done), f"Settled: {done.payout:,} credits came back.")
