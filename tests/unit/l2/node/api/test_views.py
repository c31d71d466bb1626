"""What the desk is shown: the real client, over a real socket, reads what the hospital holds."""

from pathlib import Path

import pytest

from l1.ground.faults import Fault, LocalError, Refused
from l1.rules.log.fold import VOID, Void
from l2.node.exchange.book import PATIENT as PATIENT_KIND
from l2.node.exchange.book import PRACTITIONER as PRACTITIONER_KIND
from l2.node.views import channel_view
from l2.protocol.events import Disconnected
from l2.protocol.rows import void_key
from l2.records.keys import handle
from tests.unit.l1.world import genesis
from tests.unit.l2.node.api.world import DOCTOR, PATIENT, fill, open_world
from tests.unit.l2.protocol.world import NOW_MS, OPENING


async def test_status_says_who_and_where(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        async with world.desk() as desk:
            status = await desk.status()
        assert (status.name, status.hospital) == ("General", OPENING.hospitals[0].hex())
        assert (status.chain, status.height) == (world.hospital.reader.chain.hex(), 0)
        assert (status.channels, status.records, status.started_ms) == (1, 0, NOW_MS)
        assert status.clock_ms == genesis().time_ms or status.clock_ms == 0


async def test_a_channel_shows_both_logs(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        async with world.desk() as desk:
            empty = await desk.channel(world.channel)
            assert (empty.own.size, empty.theirs.size, empty.state) == (0, 0, "open")
            fill(world.pair)
            (view,) = await desk.channels()
        ours, theirs = world.pair.channels
        assert (view.id, view.peer_name, view.side) == (world.channel, "Mercy", 0)
        assert (view.own.size, view.theirs.size) == (ours.own.size, theirs.own.size)
        assert view.own.root == theirs.peer.frontier.root().hex()
        assert view.receipted == ours.acknowledged
        assert (view.deposits, view.bond, view.voids, view.reason) == ((1_000, 1_000), 500, 0, None)


async def test_a_cut_line_shows(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        world.pair.do(0, Disconnected())
        keeper = world.hospital.keeper(bytes.fromhex(world.channel))
        assert channel_view(world.hospital, keeper).state == "connecting"
        world.pair.restart(0)
        keeper.channel = world.pair.channels[0]
        assert channel_view(world.hospital, keeper).state == "open"


async def test_entries_come_by_name(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        fill(world.pair)
        async with world.desk() as desk:
            own = await desk.entries(world.channel, side="own", start=0, count=100)
            peer = await desk.entries(world.channel, side="peer", start=0, count=100)
            part = await desk.entries(world.channel, side="own", start=1, count=1)
        assert [entry["kind"] for entry in own] == ["consent", "grant", "seen", "revoke"]
        assert [entry["kind"] for entry in peer if entry["kind"] != "seen"] == ["access"]
        assert [entry["index"] for entry in own] == [0, 1, 2, 3]
        assert part == [own[1]]
        assert own[0]["permit"] is True
        assert own[0]["purposes"] == ["TREAT", "HPAYMT"]
        assert (own[1]["basis"], own[1]["consent"], own[1]["record_class"]) == ("consent", 0, "BUNDLE")
        access = next(entry for entry in peer if entry["kind"] == "access")
        assert (access["role"], access["purpose"], access["void"]) == ("PHYSICIAN", "TREAT", None)
        assert access["time_ms"] == NOW_MS


async def test_void_entries_say_why(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        fill(world.pair)
        channel = world.pair.channels[0]
        channel.fold.logs[1].marks[1] |= VOID
        world.pair.stores[0].put([(void_key(1, 1), bytes([Void.PURPOSE]))])
        async with world.desk() as desk:
            peer = await desk.entries(world.channel, side="peer", start=1, count=1)
            assert (await desk.channel(world.channel)).voids == 1
        assert peer[0]["void"] == "purpose"


async def test_the_audit_log_finds_people(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        fill(world.pair)
        async with world.desk() as desk:
            everything = await desk.audit_log()
            of_patient = await desk.audit_log(patient=PATIENT)
            of_doctor = await desk.audit_log(practitioner=DOCTOR, channel=world.channel)
            of_peer = await desk.audit_log(patient=PATIENT, side="peer", count="1")
            nobody = await desk.audit_log(patient="somebody else")
        times = [entry["time_ms"] for entry in everything]
        assert times == sorted(times)
        assert [entry["kind"] for entry in of_patient] == ["consent", "grant", "access", "revoke"]
        assert [entry["kind"] for entry in of_doctor] == ["access"]
        assert of_peer == of_doctor
        assert of_doctor[0]["channel"] == world.channel
        assert nobody == []


async def test_people_go_by_the_names_that_we_have_for_them(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        fill(world.pair)
        channel = world.pair.channels[0]
        for kind, name in ((PATIENT_KIND, PATIENT), (PRACTITIONER_KIND, DOCTOR)):
            world.exchange.people[channel.id, handle(channel.me.secret, kind, name)] = name
        async with world.desk() as desk:
            shown = await desk.entries(world.channel, side="peer", start=1, count=1)
            seen = await desk.entries(world.channel, side="own", start=2, count=1)
        assert (shown[0]["patient"], shown[0]["practitioner_name"]) == (PATIENT, DOCTOR)
        assert "patient" not in seen[0]


async def test_keys_are_those_that_the_chain_knows(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        async with world.desk() as desk:
            assert await desk.keys() == []
            world.hospital.registry.clear()
            with pytest.raises(LocalError, match="does not know this hospital"):
                await desk.keys()
            with pytest.raises(Refused) as refused:
                await desk.channel("00" * 32)
        assert refused.value.fault is Fault.UNKNOWN_CHANNEL
