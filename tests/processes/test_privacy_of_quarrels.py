"""A quarrel over real patients' records, with a watchtower and changed keys: nothing of them reaches chain or tower."""

import json
from pathlib import Path

import pytest

from client.demo.court import VERDICT_S, Court, open_court
from client.demo.patients import generate_patients
from client.demo.records import permit_all
from client.demo.world import Hospital, wait_until
from client.processes import Node
from l1.ground.codes import PurposeOfUse
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


def stored(*folders: Path) -> bytes:
    return b"".join(path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file())


async def test_no_quarrel_tells_who_was_treated(tmp_path: Path) -> None:
    contents = [file.content for file in generate_patients(11, 2)]
    async with open_court(tmp_path) as court:
        honest, tower = court.honest, await court.world.add_tower("T")
        before = stored(tmp_path / "chain", tmp_path / "T")
        records = [await honest.desk.add_record(content, name="chart.json") for content in contents]
        await court.open()
        consent = await honest.desk.grant_consent(permit_all(court.channel, records[0].subject, ("TREAT",), UNTIL_MS))
        grant = await shared(court, records[0].record)
        await court.do("request")
        await is_watched(honest, tower)
        await honest.desk.rotate(Rotate(kind="channel"))
        await honest.desk.withdraw_consent(court.channel, consent)
        view = await honest.desk.channel(court.channel)
        await court.do("wait", size=view.own.size)
        await court.do("access", grant=grant)
        await is_judged(court, Charge.ACCESS_AFTER_END)
        await court.open()
        await honest.desk.grant_consent(permit_all(court.channel, records[1].subject, ("TREAT",), UNTIL_MS))
        grant = await shared(court, records[1].record)
        await court.do("access", grant=grant, purpose=PurposeOfUse(ANOTHER_PURPOSE))
        await is_judged(court, Charge.ACCESS_OUTSIDE_PURPOSE)
        assert honest.id in stored(tmp_path / "chain"), "the search is not blind"
    told = {word for word in of_patients(contents) if word not in before}  # "heart" stands in "heartbeat" anyway
    assert len(told) > 200
    kept = stored(tmp_path / "chain", tmp_path / "T")
    assert not [word for word in told if word in kept]
