"""What goes wrong between two hospitals, and what a desk asks that does not fit."""

from pathlib import Path

import msgspec
import pytest
import trio

from l1.ground.codes import PurposeOfUse
from l1.ground.faults import LocalError, Refused
from l1.rules.log.fold import CONSENT, GRANT
from l1.rules.transactions import Demand
from l2.link import LineClosed
from l2.node.exchange import delivery
from l2.node.exchange.book import SharedRecord
from l2.node.exchange.logs import find_marks, newest
from l2.node.exchange.pulling import Pulls
from l2.node.exchange.terms import code_of, mask_of, name_of, names_of
from l2.node.exchange.worklist import Worklist
from l2.protocol.events import Submit
from l2.protocol.phases import Phase
from tests.unit.l2.node.exchange.test_exchange import make_world, until
from tests.unit.l2.node.exchange.world import YEAR_MS, observation


def test_codes_go_by_their_names() -> None:
    assert code_of(PurposeOfUse, "treat") is PurposeOfUse.TREAT
    assert names_of(PurposeOfUse, mask_of(PurposeOfUse, ["HPAYMT", "TREAT"])) == ("TREAT", "HPAYMT")
    assert name_of(PurposeOfUse, 30) == "30"
    with pytest.raises(LocalError, match="no PurposeOfUse is named"):
        mask_of(PurposeOfUse, [])


async def test_work_is_done_once_however_often_it_is_asked_for() -> None:
    work: Worklist[int] = Worklist()
    for item in (1, 2, 1, 1):
        work.add(item)
    assert [await work.take(), await work.take()] == [1, 2]
    work.add(1)
    assert await work.take() == 1


async def test_numbers_that_no_entry_can_carry_are_refused_before_they_are_written(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        with pytest.raises(LocalError, match="out of bounds"):
            await world.consent(until_ms=2**60)
        await world.consent()
        record = await world.record()
        for fee in (2**53, 2**70):
            with pytest.raises(LocalError, match="out of bounds"):
                await world.share(record, fee=fee)
        assert newest(world.a.keeper.channel, 0, GRANT) == []


async def test_what_costs_something_is_fetched_only_when_asked(tmp_path: Path) -> None:
    world = make_world(tmp_path, b={"auto_fetch": True})
    async with world.running():
        await world.consent()
        record = await world.record()
        dear, free = await world.share(record, fee=10), await world.share(record)
        await until(lambda: len(world.b.exchange.records(origin="received")) == 1)
        states = {view.index: view.state for view in world.b.exchange.grants(None)}
        assert states == {dear: "granted", free: "released"}
        await world.b.exchange.fetch(bytes.fromhex(world.b.id), dear)
        assert world.b.keeper.channel.fold.logs[1].spent == 10


async def test_a_fetch_of_its_own_tries_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l2.node.exchange.background.RETRY_S_MIN", 0.001)
    world = make_world(tmp_path, b={"auto_fetch": True})
    world.may_dial = False
    async with world.running():
        await world.consent()
        await world.share(await world.record())
        await until(lambda: world.b.exchange._background._pauses != {})
        world.may_dial = True
        await until(lambda: len(world.b.exchange.records(origin="received")) == 1)


async def test_grants_of_before_a_start_are_fetched_after_it(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        record = await world.record()
        await world.share(record)
        await world.share(record, fee=1)
        await world.b_knows_all()
    for side in (world.a, world.b):
        side.bodies.close()
        side.config.auto_fetch = True
        side.start(fresh=True)
    async with world.running():
        await until(lambda: len(world.b.exchange.records(origin="received")) == 1)
        assert [view.state for view in world.b.exchange.grants(None)] == ["released", "granted"]


async def test_an_unanswered_request_is_answered_after_a_start(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        await world.record()
        await world.request()
        await world.b_knows_all()
    for side in (world.a, world.b):
        side.bodies.close()
        side.config.auto_grant = True
        side.start(fresh=True)
    async with world.running():
        await until(lambda: [view.answered for view in world.b.exchange.requests()] == ["granted"])


async def test_bodies_without_a_note_find_their_grant_or_are_forgotten(tmp_path: Path) -> None:
    """A crash came right after the body was sealed, or right after its grant was written."""
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        record = await world.record()
        grant = await world.share(record)
        await world.b_knows_all()
        ((channel, lock),) = world.a.bodies.outgoing.locks()
        book = world.a.exchange._book
        book.note_shared(channel, [(lock, SharedRecord(bytes.fromhex(record), None))])
        seed = world.a.hospital.keys.release_seed()
        stored = world.a.bodies.records.find(bytes.fromhex(record))
        assert stored is not None
        chain = world.a.keeper.channel.context.chain
        world.a.bodies.outgoing.prepare(stored, chain=chain, channel=channel, seed=seed)
        assert len(world.a.bodies.outgoing.locks()) == 2
    for side in (world.a, world.b):
        side.bodies.close()
        side.start(fresh=True)
    async with world.running():
        await until(lambda: world.a.bodies.outgoing.locks() == [(channel, lock)])
        assert world.a.exchange._book.shared(channel, lock) == SharedRecord(bytes.fromhex(record), grant)
        await world.b.exchange.fetch(bytes.fromhex(world.b.id), grant)
        await until(lambda: world.a.bodies.outgoing.locks() == [])


async def test_a_release_that_does_not_come_is_not_waited_for_forever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        grant = await world.share(await world.record())
        await world.b_knows_all()
        held = world.a.exchange._sharing.release

        async def never(_dealing: object) -> None:
            await trio.lowlevel.checkpoint()

        world.a.exchange._sharing.release = never  # type: ignore[method-assign, assignment]
        assert delivery.RELEASE_S > 1
        monkeypatch.setattr(delivery, "RELEASE_S", 0.001)
        with pytest.raises(LocalError, match="has not released"):
            await world.b.exchange.fetch(bytes.fromhex(world.b.id), grant)
        assert [view.state for view in world.b.exchange.grants(None)] == ["received"]
        await world.b_knows_all()
        await held(world.a.exchange._dealings[bytes.fromhex(world.a.id)])
        await until(lambda: len(world.b.exchange.records(origin="received")) == 1)


async def test_a_record_that_names_nobody_needs_the_hospitals_own_attestation(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        record = (await world.a.exchange.add_record(b"a leaflet", "leaflet.txt")).record
        with pytest.raises(Exception, match="no consent"):
            await world.share(record)
        consent = await world.consent("")
        grant = await world.share(record, consent_index=consent)
        await world.b_knows_all()
        fetched = await world.b.exchange.fetch(bytes.fromhex(world.b.id), grant)
        assert await world.open_at_b(fetched.record) == b"a leaflet"


async def test_marks_are_found_and_lists_show_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l2.node.exchange.logs._CHUNK", 4)
    monkeypatch.setattr("l2.node.exchange.logs.VIEWS_MAX", 3)
    world = make_world(tmp_path)
    async with world.running():
        consents = [await world.consent(f"p{at}", until_ms=YEAR_MS * 100) for at in range(9)]
        await world.a.exchange.withdraw_consent(bytes.fromhex(world.a.id), consents[2])
        channel = world.a.keeper.channel
        assert newest(channel, 0, CONSENT) == consents[-3:]
        assert newest(channel, 0, GRANT) == []
        assert find_marks(channel, 0, "consents in force") == consents[:2] + consents[3:]
        assert find_marks(channel, 0, "consents in force", consents[4], consents[6]) == consents[4:6]
        assert [view.patient for view in world.a.exchange.consents()] == ["p6", "p7", "p8"]


class _BrokenOnce:
    """A download whose first line turns out to be dead."""

    def __init__(self) -> None:
        self.lines: list[_Line] = []

    async def connect(self, _peer: bytes, _slot: int) -> "_Line":
        self.lines.append(_Line())
        return self.lines[-1]


class _Line:
    def __init__(self) -> None:
        self.dead = self.closed = False

    async def aclose(self) -> None:
        self.closed = True
        await trio.lowlevel.checkpoint()


async def test_idle_lines_are_used_again_and_dead_ones_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async def gather(line: _Line, *_: object) -> None:
        await trio.lowlevel.checkpoint()
        if line.dead:
            raise LineClosed("dead")

    monkeypatch.setattr("l2.node.exchange.pulling.gather", gather)
    monkeypatch.setattr("l2.node.exchange.pulling.IDLE_S", 0.001)
    world = _BrokenOnce()
    pulls = Pulls(world.connect)  # type: ignore[arg-type]
    await pulls.gather(b"peer", b"channel", [1], b"key")
    await pulls.gather(b"peer", b"channel", [1], b"key")
    assert len(world.lines) == 1
    world.lines[0].dead = True
    await pulls.gather(b"peer", b"channel", [1], b"key")
    assert [line.closed for line in world.lines] == [True, False]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pulls.run)
        await until(lambda: world.lines[1].closed)
        nursery.cancel_scope.cancel()


async def test_a_record_stays_openable_after_its_channel_closed_and_every_opening_is_a_signed_line(
    tmp_path: Path,
) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        record = await world.record()
        kept, revoked = await world.share(record), await world.share(record)
        await world.b_knows_all()
        channel = bytes.fromhex(world.b.id)
        here = [(await world.b.exchange.fetch(channel, grant)).record for grant in (kept, revoked)]
        await world.a.exchange.revoke(channel, revoked)
        await world.b_knows_all()
        world.b.keeper.channel.row = msgspec.structs.replace(world.b.keeper.channel.row, phase=Phase.SETTLED)
        size = world.b.keeper.channel.own.size
        for _ in range(2):
            assert await world.open_at_b(here[0]) == observation("anna")
        with pytest.raises(Refused, match="had ended"):
            await world.open_at_b(here[1])
        with pytest.raises(Refused, match="not for this purpose"):
            await world.open_at_b(here[0], purpose="HRESCH")
        assert world.b.keeper.channel.own.size == size
    chain, log = world.b.keeper.channel.context.chain, world.b.exchange.closed_log
    lines = log.read(chain)
    assert [(one.number, one.grant, one.practitioner) for one in lines] == [(0, kept, "dr-b"), (1, kept, "dr-b")]
    with pytest.raises(Refused, match="signature"):
        log.read(bytes(32))
    log._rows.delete((0).to_bytes(8, "big"))
    with pytest.raises(Refused, match="does not follow"):
        log.read(chain)


async def test_a_desk_is_told_what_is_on_its_way_and_it_comes_though_the_desk_goes_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "COMING_S", 0.001)
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        grant = await world.share(await world.record())
        await world.b_knows_all()
        with pytest.raises(LocalError, match=delivery.COMING):
            await world.b.exchange.fetch(bytes.fromhex(world.b.id), grant)
        await until(lambda: len(world.b.exchange.records(origin="received")) == 1)


async def test_a_release_that_is_kept_back_is_demanded_on_the_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "LOOK_S", 0.001)
    monkeypatch.setattr(delivery, "RELEASE_S", 0.001)
    world = make_world(tmp_path)
    world.b.config.demand_after_s = 0.05
    asked: list[Submit] = []
    async with world.running():
        monkeypatch.setattr(world.b.keeper, "_submit", lambda _keeper, submit: asked.append(submit))
        await world.consent()
        grant = await world.share(await world.record())
        await world.b_knows_all()

        async def never(_dealing: object) -> None:
            await trio.lowlevel.checkpoint()

        monkeypatch.setattr(world.a.exchange._sharing, "release", never)
        with pytest.raises(LocalError, match="has not released"):
            await world.b.exchange.fetch(bytes.fromhex(world.b.id), grant)
        await until(lambda: len(asked) > 0)
        assert isinstance(asked[0].action, Demand)
        assert asked[0].action.grant.index == grant
