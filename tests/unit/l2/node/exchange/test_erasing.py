"""Erasing: nothing of a record is left at either hospital, the peer's word is signed, and a hold stands in the way."""

from pathlib import Path

import pytest
import trio

from l1.ground.faults import Fault, LocalError, Refused
from l2.node.bodies.intake import RECORD_KEY
from l2.node.bodies.recall import check_erasure, decode_erased
from l2.node.exchange.erasing import ASK_AGAIN_S
from l2.node.exchange.holds import PATIENT_HOLD, RECORD_HOLD, Holds
from tests.unit.l2.node.exchange.test_exchange import make_world, refused, until
from tests.unit.l2.node.exchange.world import World, observation

LONG = b'{"resourceType": "Observation", "subject": {"reference": "Patient/anna"}, "note": "' + bytes(
    97 + (n * n // 7) % 26 for n in range(200_000)
)


async def fetched_by_b(world: World, content: bytes | None = None) -> tuple[str, str, int]:
    """The record at A, its copy at B, the grant."""
    await world.consent()
    if content is None:
        own = await world.record()
    else:
        await world.consent("")
        own = (await world.a.exchange.add_record(content, "long")).record
    grant = await world.share(own)
    await world.b_knows_all()
    copy = (await world.b.exchange.fetch(bytes.fromhex(world.b.id), grant)).record
    return own, copy, grant


def windows(content: bytes) -> set[bytes]:
    return {content[at : at + 32] for at in range(len(content) - 31)}


def leaks(folder: Path, wanted: set[bytes]) -> list[str]:
    """Files with any 32 bytes that are wanted."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found += [path.name for at in range(len(data) - 31) if data[at : at + 32] in wanted][:1]
    return found


@pytest.mark.parametrize("long", [False, True])
async def test_an_erased_record_is_nowhere_and_the_peer_has_signed(tmp_path: Path, long: bool) -> None:
    world = make_world(tmp_path)
    content = LONG if long else observation("anna")
    async with world.running():
        own, copy, grant = await fetched_by_b(world, LONG if long else None)
        keys: set[bytes] = set()
        for side, record_id in ((world.a, own), (world.b, copy)):
            record = side.bodies.records.find(bytes.fromhex(record_id))
            assert record is not None
            keys.add(side.bodies.cells.key(record.cell, RECORD_KEY))
            head = side.bodies.cells.path(record.cell.file).read_bytes()[record.cell.offset :][:76]
            keys |= windows(head)
        report = await world.a.exchange.erasing.erase(bytes.fromhex(own))
        (said,) = report.copies
        assert (said.state, said.grant, said.had_copy) == ("confirmed", grant, True)
        assert said.peer == world.b.hospital.id.hex()
        receipt = check_erasure(
            decode_erased(bytes.fromhex(said.receipt or "")),
            chain=world.a.keeper.channel.context.chain,
            channel=bytes.fromhex(world.a.id),
            grant=grant,
            custodian=world.a.hospital.id,
            recipient=world.b.hospital.id,
            key=world.a.keeper.channel.peer_keys[1],
        )
        assert receipt.had_copy
        for side in (world.a, world.b):
            assert side.exchange.records() == []
        with refused(Fault.NOT_GRANTED):
            await world.b.exchange.fetch(bytes.fromhex(world.b.id), grant)
        again = await world.a.exchange.erasing.erase(bytes.fromhex(own))
        assert again == report
    for side in (world.a, world.b):
        side.bodies.close()
    # Of the long one every seventh window is searched for: the files would show any of them.
    wanted = windows(content[:4_000]) | keys
    assert await trio.to_thread.run_sync(leaks, tmp_path, wanted) == []


async def test_a_record_under_hold_is_not_erased_here_nor_for_its_custodian(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        own, copy, _ = await fetched_by_b(world)
        mine, theirs = world.a.exchange.erasing.holds, world.b.exchange.erasing.holds
        with pytest.raises(LocalError, match="needs a reason"):
            mine.put(RECORD_HOLD, own, " ", 1)
        mine.put(RECORD_HOLD, own, "Smith v. Harbor", 1)
        assert mine.put(RECORD_HOLD, own, "another", 2).reason == "Smith v. Harbor"
        with pytest.raises(LocalError, match="Smith v"):
            await world.a.exchange.erasing.erase(bytes.fromhex(own))
        assert mine.drop(RECORD_HOLD, own)
        assert not mine.drop(RECORD_HOLD, own)
        theirs.put(PATIENT_HOLD, "anna", "an audit", 1)
        report = await world.a.exchange.erasing.erase(bytes.fromhex(own))
        assert [(one.state, "under hold" in one.detail) for one in report.copies] == [("refused", True)]
        assert [view.record for view in world.b.exchange.records()] == [copy]
        assert [hold.name for hold in theirs.all()] == ["anna"]


async def test_a_peer_that_is_away_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l2.node.exchange.erasing.ASK_AGAIN_S", 0.01)
    assert ASK_AGAIN_S > 1
    world = make_world(tmp_path)
    async with world.running():
        own, _, _ = await fetched_by_b(world)
        world.may_dial = False
        for line in [line for idle in world.a.exchange._pulls._idle.values() for _, line in idle]:
            await line.aclose()
        report = await world.a.exchange.erasing.erase(bytes.fromhex(own))
        assert [one.state for one in report.copies] == ["asked"]
        assert world.a.exchange.records() == []
        world.may_dial = True
        await until(lambda: world.b.exchange.records() == [])
    for side in (world.a, world.b):
        side.bodies.close()


async def test_a_crash_in_the_middle_is_finished_by_the_next_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(tmp_path)
    async with world.running():
        own, _, _ = await fetched_by_b(world)

        async def power_fails(_: object) -> None:
            await trio.lowlevel.checkpoint()
            raise OSError("power")

        monkeypatch.setattr(world.a.exchange.erasing, "_destroy", power_fails)
        with pytest.raises(OSError, match="power"):
            await world.a.exchange.erasing.erase(bytes.fromhex(own))
    for side in (world.a, world.b):
        side.bodies.close()
        side.start(fresh=True)
    async with world.running():
        await until(lambda: world.a.exchange.records() == world.b.exchange.records() == [])


async def test_what_was_granted_and_never_fetched_cannot_be_fetched_after(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        own = await world.record()
        grant = await world.share(own)
        await world.b_knows_all()
        report = await world.a.exchange.erasing.erase(bytes.fromhex(own))
        assert [(one.grant, one.state) for one in report.copies] == [(grant, "never fetched")]
        await world.b_knows_all()
        with refused(Fault.NOT_GRANTED, "ended"):
            await world.b.exchange.fetch(bytes.fromhex(world.b.id), grant)
        with pytest.raises(LocalError, match="no record"):
            await world.a.exchange.erasing.erase(bytes(16))


async def test_only_the_custodian_may_have_a_copy_erased(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        _, copy, grant = await fetched_by_b(world)
        dealing = world.b.exchange._dealings[bytes.fromhex(world.b.id)]
        with pytest.raises(Refused, match="no such channel"):
            world_library(world, bytes(20))._dealing(dealing.id)
        assert [view.record for view in world.b.exchange.records()] == [copy]
        assert grant >= 0


def world_library(world: World, peer: bytes):  # type: ignore[no-untyped-def]
    from l2.node.exchange.library import PeerLibrary, Rate

    exchange = world.b.exchange
    parts = world.b.hospital, exchange._sharing, exchange.erasing, Rate(0)
    return PeerLibrary(*parts, dealings=exchange._dealings, peer=peer)


def test_holds_outlive_the_process(tmp_path: Path) -> None:
    from l2.node.bodies import Bodies

    with Bodies(tmp_path, bytes(32)) as bodies:
        Holds(bodies.index).put(PATIENT_HOLD, "anna", "a matter", 5)
    with Bodies(tmp_path, bytes(32)) as bodies:
        (hold,) = Holds(bodies.index).all()
        assert (hold.what, hold.name, hold.reason, hold.since_ms) == ("patient", "anna", "a matter", 5)
