"""`interward hospital tower`: which watchtowers a hospital names, and whether they hold what they need."""

from pathlib import Path

import click
import msgspec

from client.output import Result, rows_table, verb
from client.places import hospital_option
from client.wording import moment, short
from l1.ground.faults import LocalError
from l1.ground.limits import TOWER_REWARD_MAX
from l2.desk.desk import Desk
from l2.desk.watch_words import TowerView, TowerWanted

__all__ = ["hospital_tower"]


@click.group("tower")
def hospital_tower() -> None:
    """The watchtowers that answer on the chain while this hospital is offline."""


@verb(hospital_tower, "add")
@click.argument("url")
@click.option(
    "--reward",
    type=click.FloatRange(0, TOWER_REWARD_MAX / 10),
    default=10.0,
    show_default=True,
    help="Per cent of the cheat's bond that it earns by answering.",
)
@hospital_option
async def add(url: str, reward: float, folder: Path) -> Result:
    """Name the tower at URL on the chain, and hand over to it from now on. Naming it again changes the reward."""
    async with Desk.of_folder(folder) as desk:
        made = await desk.add_tower(TowerWanted(url=url, reward_per_mille=round(10 * reward)))
    said = f"Tower {made.tower} watches for us, for {made.reward_per_mille / 10:g} % of a cheat's bond."
    return Result(msgspec.structs.asdict(made), said)


@verb(hospital_tower, "list")
@hospital_option
async def list_towers(folder: Path) -> Result:
    """List our watchtowers as the chain knows them, and how far behind each is."""
    async with Desk.of_folder(folder) as desk:
        found = await desk.towers()
    columns = ("tower", "at", "reward", "since", "holds", "behind", "trouble")
    return Result([msgspec.structs.asdict(one) for one in found], rows_table("Watchtowers", columns, _rows(found)))


def _rows(found: list[TowerView]) -> list[tuple[object, ...]]:
    return [
        (
            short(one.tower),
            one.url,
            f"{one.reward_per_mille / 10:g} %",
            moment(one.since_ms),
            f"{one.channels:,}",
            f"{one.behind:,}",
            one.trouble,
        )
        for one in found
    ]


@verb(hospital_tower, "remove")
@click.argument("wanted", metavar="TOWER")
@hospital_option
async def remove(wanted: str, folder: Path) -> Result:
    """End the watch of TOWER (the begin of its account, or its URL), from now on."""
    async with Desk.of_folder(folder) as desk:
        found = [one for one in await desk.towers() if one.url == wanted or one.tower.startswith(wanted)]
        if len(found) != 1:
            raise LocalError(f"{wanted} names {len(found)} of our watchtowers", "See `interward hospital tower list`.")
        await desk.remove_tower(found[0].tower)
    return Result({"tower": found[0].tower}, f"Tower {found[0].tower} watches for us no more.")
