"""Minimum necessary: what was asked for and permitted goes over, resource by resource, and nothing else."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from l1.ground.codes import MediaType
from l1.ground.faults import Fault, LocalError, Refused
from l2.desk import words
from l2.node.bodies import Record
from l2.node.exchange.cutting import Cutting, Offer
from l2.node.exchange.reading import Reading
from l2.records import pieces_of, read_extract
from tests.unit.l2.node.exchange.test_exchange import make_world, until
from tests.unit.l2.node.exchange.world import World

ALL = ("PATIENT", "OBSERVATION", "CONDITION", "BUNDLE", "MEDICATION")
YEAR_2020: dict[str, Any] = {"from_ms": 1_577_836_800_000, "to_ms": 1_609_459_199_999}
DATA_2020: dict[str, Any] = {"data_from_ms": 1_577_836_800_000, "data_until_ms": 1_609_459_199_999}
HIV = {"coding": [{"system": "http://snomed.info/sct", "code": "86406008"}]}


def resource(kind: str, name: str, patient: str = "anna", **fields: Any) -> dict[str, Any]:
    return {"resourceType": kind, "id": name, "subject": {"reference": f"Patient/{patient}"}, **fields}


CHART = (
    {"resourceType": "Patient", "id": "anna", "name": [{"text": "Anna"}]},
    resource("Observation", "o-2019", effectiveDateTime="2019-05-01"),
    resource("Observation", "o-2020", effectiveDateTime="2020-05-01"),
    resource("Condition", "c-2020", onsetDateTime="2020-02-02", abatementDateTime="2020-03-03"),
    resource("Condition", "c-hiv", onsetDateTime="2020-02-02", code=HIV),
    resource("MedicationRequest", "m-2020", authoredOn="2020-02-02"),
)


def bundle(*resources: dict[str, Any]) -> bytes:
    entries = [{"fullUrl": f"urn:uuid:{one['id']}", "resource": one, "request": {}} for one in resources]
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}, indent=2).encode()


async def add(world: World, content: bytes = bundle(*CHART)) -> str:
    return (await world.a.exchange.add_record(content, "chart.json")).record


async def arrived(world: World, grant: int) -> bytes:
    await world.b_knows_all()
    fetched = await world.b.exchange.fetch(bytes.fromhex(world.b.id), grant)
    assert fetched.digest_ok
    return await world.open_at_b(fetched.record)


def names(content: bytes) -> list[str]:
    return [piece.outside.id for piece in pieces_of(content, MediaType.FHIR_JSON)]


async def granted(world: World) -> Sequence[Any]:
    await world.b_knows_all()
    return [view for view in world.b.exchange.grants(None) if view.side == "peer"]


async def test_two_classes_of_one_year_go_over_and_prove_themselves(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent(classes=ALL)
        record = await add(world)
        said = await world.a.exchange.pieces(bytes.fromhex(record))
        grant = await world.share(record, classes=("OBSERVATION", "CONDITION"), label="N", **DATA_2020)
        content = await arrived(world, grant)
        assert names(content) == ["o-2020", "c-2020"]
        told = read_extract(content)
        assert told is not None
        assert (told.root.hex(), told.fault) == (said.root, "")
        assert all(piece.slice.raw in bundle(*CHART) for piece in pieces_of(content, MediaType.FHIR_JSON))
        (view,) = await granted(world)
        assert (view.record_class, view.label) == ("OBSERVATION", "N")


async def asked_and_granted(world: World) -> Any:
    """B asks for two classes of one year, and A answers by itself."""
    await world.consent(classes=ALL)
    await add(world)
    await world.request(classes=("OBSERVATION", "CONDITION"), **YEAR_2020)
    await until(lambda: len(world.b.exchange.grants(None)) == 1)
    (view,) = await granted(world)
    return view


async def test_a_request_is_answered_with_what_fits_it(tmp_path: Path) -> None:
    world = make_world(tmp_path, a={"auto_grant": True})
    async with world.running():
        view = await asked_and_granted(world)
        assert names(await arrived(world, view.index)) == ["o-2020", "c-2020", "c-hiv"]


async def test_what_the_consents_label_does_not_reach_stays_here(tmp_path: Path) -> None:
    world = make_world(tmp_path, a={"auto_grant": True})
    async with world.running():
        await world.consent(classes=ALL, label_ceiling="N")
        record = await add(world)
        await world.request(classes=ALL)
        await until(lambda: len(world.b.exchange.grants(None)) == 1)
        (view,) = await granted(world)
        assert "c-hiv" not in names(await arrived(world, view.index))
        assert view.label == "N"
        with pytest.raises(Refused, match="label too high"):
            await world.share(record)


async def test_all_that_fits_goes_as_it_was_received(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent(classes=ALL)
        grant = await world.share(await add(world), classes=ALL)
        assert await arrived(world, grant) == bundle(*CHART)


async def test_resources_on_different_consents_go_in_different_grants(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        first = await world.consent(classes=("OBSERVATION",))
        second = await world.consent(classes=("CONDITION",), label_ceiling="N")
        assert second > first
        record = bytes.fromhex(await add(world))
        done = await world.a.exchange.share(
            record, words.Share(channel=world.a.id, purposes=("TREAT",), classes=("OBSERVATION", "CONDITION"))
        )
        assert (len(done.grants), done.resources, done.of_resources) == (2, 3, 6)
        parts = [names(await arrived(world, grant)) for grant in done.grants]
        assert sorted(parts) == [["c-2020"], ["o-2019", "o-2020"]]


async def test_a_deny_for_a_class_takes_its_resources_out(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent(classes=ALL)
        await world.consent(classes=("CONDITION",), decision="deny")
        grant = await world.share(await add(world), classes=ALL)
        assert names(await arrived(world, grant)) == ["anna", "o-2019", "o-2020", "m-2020"]


async def test_of_a_bulk_export_only_the_patients_lines_go(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    lines = [resource("Observation", f"{who}-{n}", who) for who in ("anna", "berta") for n in range(2)]
    async with world.running():
        await world.consent()
        record = await add(world, "\n".join(json.dumps(line) for line in lines).encode())
        with pytest.raises(LocalError, match="2 patients"):
            await world.share(record, classes=("OBSERVATION",))
        grant = await world.share(record, patient="anna")
        assert names(await arrived(world, grant)) == ["anna-0", "anna-1"]


async def test_a_label_that_a_person_gave_holds_for_each_resource(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent(classes=ALL, label_ceiling="N")
        content = bundle(*CHART)
        added = await world.a.exchange.add_record(content, "chart.json", label="R")
        assert (added.label, added.known) == ("R", False)
        with pytest.raises(Refused, match="label too high"):
            await world.share(added.record, classes=("OBSERVATION",))
        again = await world.a.exchange.add_record(content, "chart.json", label="N")
        assert (again.record, again.label, again.known) == (added.record, "N", True)
        grant = await world.share(added.record, classes=("CONDITION",))
        assert names(await arrived(world, grant)) == ["c-2020", "c-hiv"]


async def test_nothing_that_fits_is_denied(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent(classes=ALL)
        record = await add(world)
        with pytest.raises(Refused, match="not found"):
            await world.share(record, classes=("IMAGING",))
        with pytest.raises(Refused, match="not found"):
            await world.share(record, patient="berta")
        with pytest.raises(LocalError, match="no RecordClass"):
            await world.share(record, classes=("nonsense",))


async def test_what_was_held_against_its_request_is_not_read_for_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[PIECE-8]"""
    world = make_world(tmp_path, a={"auto_grant": True})
    async with world.running():
        view = await asked_and_granted(world)
        fetched = await world.b.exchange.fetch(bytes.fromhex(world.b.id), view.index)
        first = await world.open_at_b(fetched.record)
        monkeypatch.setattr(Reading, "_pieces", lambda *_: pytest.fail("it was read again"))
        assert await world.open_at_b(fetched.record) == first


OTHERS = ({"resourceType": "Patient", "id": "bea"}, resource("Observation", "o-bea", "bea"))


@pytest.mark.parametrize(
    ("asked", "surplus"),
    [
        ({"classes": ALL} | YEAR_2020, "of another period"),
        ({"classes": ("OBSERVATION", "PATIENT", "CONDITION")}, "of class MEDICATION"),
        ({"classes": ALL}, "about another patient"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_more_than_was_asked_for_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], surplus: str
) -> None:
    """[PIECE-8] The custodian sends the whole record where a part was asked for."""

    def all_of_it(_cutting: Cutting, offer: Offer) -> Record:
        assert offer.cut is not None
        info = replace(offer.record.info, record_class=offer.cut.record_class)  # another one would void the grant
        return replace(offer.record, info=info)

    monkeypatch.setattr(Cutting, "record_of", all_of_it)
    world = make_world(tmp_path, a={"auto_grant": True})
    async with world.running():
        await world.consent(classes=ALL)
        await add(world, bundle(*CHART, *(OTHERS if "patient" in surplus else ())))
        await world.request(**asked)
        await until(lambda: len(world.b.exchange.grants(None)) == 1)
        (view,) = await granted(world)
        fetched = await world.b.exchange.fetch(bytes.fromhex(world.b.id), view.index)
        written = world.b.keeper.channel.own.size
        with pytest.raises(Refused, match=surplus) as refused:
            await world.open_at_b(fetched.record)
        assert refused.value.fault is Fault.NOT_GRANTED
        assert world.b.keeper.channel.own.size == written, "no access was written"
