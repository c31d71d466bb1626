"""A quarrel over real patients' records, with a watchtower and changed keys: nothing of them reaches chain or tower."""

import json
from pathlib import Path

import pytest

from client.demo.accused import Accused
from client.demo.court import VERDICT_S, Court
from client.demo.disputes import BOND, DEPOSIT, GIFT, WINDOW_MS, admit_mallory
from client.demo.patients import generate_patients
from client.demo.world import Hospital, open_world, wait_until
from client.processes import Node
from l1.ground.codes import PurposeOfUse, RecordClass
from l1.rules.evidence import Charge
from l2.desk import words
from l2.desk.key_words import Rotate
from l2.desk.watch_words import TowerWanted
from tests.processes.hospitals import UNTIL_MS
from tests.processes.test_privacy import WORD_CHARS_MIN, words_of

pytestmark = pytest.mark.slow

ANOTHER_PURPOSE = 5


def of_patients(contents: list[bytes]) -> set[bytes]:
    found = {word for content in contents for word in words_of(json.loads(content))}
    return {word.encode() for word in found if len(word) >= WORD_CHARS_MIN}


async def consented(court: Court, patient: str, *purposes: str) -> int:
    return await court.honest.desk.grant_consent(
        words.ConsentWanted(
            channel=court.channel,
            patient=patient,
            decision="permit",
            purposes=purposes,
            classes=tuple(one.name for one in RecordClass),
            label_ceiling="V",
            from_ms=0,
            until_ms=UNTIL_MS,
        )
    )


async def shared(court: Court, record: str) -> int:
    """A grant of the record that Mallory has seen."""
    granted = await court.honest.desk.share(record, words.Share(channel=court.channel, purposes=("TREAT",)))
    await court.do("wait", size=granted.grant + 1)
    return granted.grant


async def is_judged(court: Court, charge: Charge) -> None:
    async def judged() -> bool:
        return (await court.row()).sides[0].guilty == charge

    await wait_until(f"the chain has judged {charge.name}", judged, VERDICT_S)


async def is_watched(honest: Hospital, tower: Node) -> None:
    await honest.desk.add_tower(TowerWanted(url=tower.url, reward_per_mille=100))

    async def handed() -> bool:
        [found] = await honest.desk.towers()
        return found.channels == 1 and found.behind == 0

    await wait_until("the tower holds what the hospital holds", handed, VERDICT_S)


async def opened(court: Court) -> None:
    court.channel = (
        await court.mallory.do("open", peer=court.honest.id.hex(), deposit=DEPOSIT, bond=BOND, window_ms=WINDOW_MS)
    )["channel"]


def stored(*folders: Path) -> bytes:
    return b"".join(path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file())


async def test_no_quarrel_tells_who_was_treated(tmp_path: Path) -> None:
    contents = [file.content for file in generate_patients(11, 2)]
    async with open_world(tmp_path) as world:
        await world.found_chain(follower=False)
        honest = await world.add_hospital("A", GIFT)
        tower = await world.add_tower("T")
        mallory = await Accused.start(world)
        try:
            await admit_mallory(world, mallory)
            court = Court(world, honest, mallory)
            before = stored(tmp_path / "chain", tmp_path / "T")
            records = [await honest.desk.add_record(content, name="chart.json") for content in contents]
            await opened(court)
            consent = await consented(court, records[0].subject, "TREAT")
            grant = await shared(court, records[0].record)
            await court.do("request")
            await is_watched(honest, tower)
            await honest.desk.rotate(Rotate(kind="channel"))
            await honest.desk.withdraw_consent(court.channel, consent)
            view = await honest.desk.channel(court.channel)
            await court.do("wait", size=view.own.size)
            await court.do("access", grant=grant)
            await is_judged(court, Charge.ACCESS_AFTER_END)
            await opened(court)
            await consented(court, records[1].subject, "TREAT")
            grant = await shared(court, records[1].record)
            await court.do("access", grant=grant, purpose=PurposeOfUse(ANOTHER_PURPOSE))
            await is_judged(court, Charge.ACCESS_OUTSIDE_PURPOSE)
            assert honest.id in stored(tmp_path / "chain"), "the search is not blind"
        finally:
            await mallory.stop()
    told = {word for word in of_patients(contents) if word not in before}  # "heart" stands in "heartbeat" anyway
    assert len(told) > 200
    kept = stored(tmp_path / "chain", tmp_path / "T")
    assert not [word for word in told if word in kept]
