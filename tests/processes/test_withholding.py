"""Two real hospitals, and one keeps back what it owes: the chain is asked by itself, and whoever is silent pays."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from client.demo.play import GIFT
from client.demo.records import BOND, DEPOSIT, permit_all
from client.demo.world import Hospital, World, now_ms, wait_until
from l1.ground.faults import LocalError, Refused
from l1.rules.evidence import Charge
from l2.desk import words
from tests.processes.hospitals import both_open, open_channel, run_arguments
from tests.processes.worlds import open_world

pytestmark = pytest.mark.slow

WINDOW_MS = 6_000  # a demand is answered within it on a busy machine
DEMANDED_S = 90.0
DAY_MS = 86_400_000
READER = {"practitioner": "attending", "role": "PHYSICIAN", "purpose": "TREAT"}
CONTENT = json.dumps({"resourceType": "Observation", "subject": {"reference": "Patient/ada"}}).encode()


@dataclass
class _Scene:
    """A granted a record to B, and one of them keeps something back."""

    world: World
    a: Hospital
    b: Hospital
    channel: str
    grant: int

    async def credits(self, hospital: Hospital) -> int:
        found = await self.world.reader.account(hospital.id)
        return 0 if found is None else found.credits

    async def guilty(self) -> int:
        row = await self.world.reader.channel(bytes.fromhex(self.channel))
        assert row is not None
        return row.sides[0].guilty

    async def log_of(self, side: str) -> list[str]:
        """The kinds of A's entries (`own`) or B's, as A tells them."""
        return [entry["kind"] for entry in await self.a.desk.audit_log(channel=self.channel, side=side)]

    async def becomes_a_record(self) -> bytes:
        """What B reads once the grant has become a record there."""

        async def has_come() -> bool:
            return bool(await self.b.desk.records(origin="received"))

        await wait_until("B has the record", has_come, DEMANDED_S)
        (record,) = await self.b.desk.records(origin="received")
        return await self.b.desk.content(record.record, **READER)


@asynccontextmanager
async def _scene(folder: Path, *, a_keeps_back: str = "", b_keeps_back: str = "") -> AsyncIterator[_Scene]:
    async with open_world(folder) as world:
        await world.found_chain(follower=False)
        a, b = [await world.make_hospital(name, GIFT) for name in ("A", "B")]
        config = b.folder / "hospital.toml"
        config.write_text(config.read_text().replace("demand_after_s = 600.0", "demand_after_s = 0.5"))
        for hospital, what in ((a, a_keeps_back), (b, b_keeps_back)):
            before = ["tests.processes.withholding", what] if what else []
            hospital.take(await world.start(hospital.name, [*before, *run_arguments(hospital.folder)]))
        channel = await open_channel(a, b, window_ms=WINDOW_MS)
        await both_open(a, b, channel)
        await a.desk.grant_consent(permit_all(channel, "ada", ("TREAT",), now_ms() + DAY_MS))
        record = (await a.desk.add_record(CONTENT, name="result.json")).record
        grant = (await a.desk.share(record, words.Share(channel=channel, purposes=("TREAT",)))).grant

        async def has_come() -> bool:
            return any(view.index == grant and view.side == "peer" for view in await b.desk.grants(channel))

        await wait_until("B has the grant", has_come, DEMANDED_S)
        yield _Scene(world, a, b, channel, grant)


async def test_a_custodian_that_keeps_back_the_secret_is_demanded_and_loses_its_bond(tmp_path: Path) -> None:
    async with _scene(tmp_path, a_keeps_back="secret") as scene:
        before = await scene.credits(scene.b)

        async def is_guilty() -> bool:
            return await scene.guilty() == Charge.KEPT_BACK_RELEASE

        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.b.desk.fetch_many, scene.channel, [scene.grant])
            await wait_until("the chain has judged it", is_guilty, DEMANDED_S)
            nursery.cancel_scope.cancel()
        assert await scene.credits(scene.b) == before + BOND
        assert "release" not in await scene.log_of("own")
        assert await scene.b.desk.records(origin="received") == []


async def test_a_secret_that_is_shown_on_the_chain_alone_opens_the_record_and_costs_no_bond(tmp_path: Path) -> None:
    async with _scene(tmp_path, a_keeps_back="release") as scene:
        before = await scene.credits(scene.b)
        await scene.b.desk.fetch_many(scene.channel, [scene.grant])
        assert await scene.becomes_a_record() == CONTENT
        assert "release" not in await scene.log_of("own")
        assert (await scene.guilty(), await scene.credits(scene.b)) == (0, before)


async def test_a_recipient_that_keeps_back_the_receipt_gets_nothing(tmp_path: Path) -> None:
    async with _scene(tmp_path, b_keeps_back="receipt") as scene:
        (became,) = await scene.b.desk.fetch_many(scene.channel, [scene.grant])
        assert (became.record, became.coming) == (None, True)
        with pytest.raises((LocalError, Refused), match="no such receipt"):
            await scene.b.desk.demand(scene.channel, scene.grant)
        assert await scene.b.desk.records(origin="received") == []
        assert "release" not in await scene.log_of("own")
        assert "receipt" not in await scene.log_of("peer")
        assert await scene.guilty() == 0
        row = await scene.world.reader.channel(bytes.fromhex(scene.channel))
        assert row is not None
        assert [side.deposit for side in row.sides] == [DEPOSIT, DEPOSIT]
