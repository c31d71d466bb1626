"""Two hospitals exchange records: consent, grant, pull, receipt, release, access; and everything that may not be."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from l1.ground.faults import Fault, LocalError, Refused
from l2.desk import words
from l2.desk.drafts import AccessDraft, Draft, GrantDraft, ReceiptDraft, RequestDraft, decode_drafts, encode_drafts
from l2.link import LineClosed
from l2.node.clock import now_ms
from l2.node.exchange.pulling import Pulls
from l2.node.exchange.shares import AlreadyGranted
from tests.unit.l2.node.exchange.world import YEAR_MS, Side, World, observation


def make_world(folder: Path, *, a: dict[str, bool] | None = None, b: dict[str, bool] | None = None) -> World:
    return World(Side(folder / "a", 0, **(a or {})), Side(folder / "b", 1, **(b or {})))


def refused(fault: Fault, match: str | None = None) -> "pytest.RaisesExc[Refused]":
    return pytest.raises(Refused, match=match, check=lambda error: error.fault is fault)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what other tasks bring about; the world's deadline bounds it."""
    while not condition():
        await trio.lowlevel.checkpoint()
        await trio.sleep(0.001)


async def test_a_record_is_shared_fetched_and_opened(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        consent = await world.consent()
        record = await world.record()
        grant = await world.share(record)
        await world.b_knows_all()
        fetched = await world.b.exchange.fetch(bytes.fromhex(world.b.id), grant)
        assert fetched.digest_ok
        assert await world.open_at_b(fetched.record) == observation("anna")
        (mine,) = world.a.exchange.grants(None)
        (theirs,) = world.b.exchange.grants(bytes.fromhex(world.b.id))
        assert (mine.state, mine.side, mine.record, mine.purposes) == ("released", "own", record, ("TREAT",))
        assert (theirs.state, theirs.side, theirs.record) == ("released", "peer", fetched.record)
        assert world.a.bodies.outgoing.locks() == []
        (view,) = world.a.exchange.consents()
        assert (view.index, view.patient, view.withdrawn) == (consent, "anna", False)
        (received,) = world.b.exchange.records(origin="received")
        assert (received.origin, received.grant) == (world.a.hospital.id.hex(), grant)
        assert world.b.exchange.records(origin="own") == []


async def test_fetching_again_finds_the_record(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        grant = await world.share(await world.record())
        await world.b_knows_all()
        both: list[words.Fetched] = []

        async def fetch() -> None:
            both.append(await world.b.exchange.fetch(bytes.fromhex(world.b.id), grant))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fetch)
            nursery.start_soon(fetch)
        assert both[0] == both[1]
        assert world.b.pulls == 1


async def test_what_no_consent_permits_is_not_shared(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        record = await world.record()
        with refused(Fault.NOT_GRANTED, "no consent"):
            await world.share(record)
        await world.consent("berta")
        with refused(Fault.NOT_GRANTED, "no consent"):
            await world.share(record)
        await world.consent()
        with refused(Fault.NOT_GRANTED, "purpose not allowed"):
            await world.share(record, purposes=("HRESCH",))
        await world.consent(decision="deny", purposes=("TREAT",))
        with refused(Fault.NOT_GRANTED, "consent denies"):
            await world.share(record)
        assert world.a.bodies.outgoing.locks() == []


async def test_a_withdrawal_stops_the_next_access_and_the_next_pull(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        consent = await world.consent()
        record = await world.record()
        first, second = await world.share(record), await world.share(record)
        await world.b_knows_all()
        channel = bytes.fromhex(world.b.id)
        fetched = await world.b.exchange.fetch(channel, first)
        await world.open_at_b(fetched.record)
        await world.a.exchange.withdraw_consent(channel, consent)
        await world.b_knows_all()
        with refused(Fault.NOT_GRANTED, "consent withdrawn"):
            await world.open_at_b(fetched.record)
        with refused(Fault.NOT_GRANTED, "ended"):
            await world.b.exchange.fetch(channel, second)
        await until(lambda: world.a.bodies.outgoing.locks() == [])
        assert [view.state for view in world.a.exchange.grants(None)] == ["revoked", "revoked"]
        with pytest.raises(LocalError, match="already done"):
            await world.a.exchange.withdraw_consent(channel, consent)


async def test_a_revoked_grant_opens_nothing(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        grant = await world.share(await world.record())
        await world.b_knows_all()
        fetched = await world.b.exchange.fetch(bytes.fromhex(world.b.id), grant)
        await world.a.exchange.revoke(bytes.fromhex(world.a.id), grant)
        await world.b_knows_all()
        with refused(Fault.NOT_GRANTED, "ended"):
            await world.open_at_b(fetched.record)
        with pytest.raises(LocalError, match="no grant"):
            await world.a.exchange.revoke(bytes.fromhex(world.a.id), 99)


async def test_another_purpose_is_refused_and_nothing_is_shown(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        grant = await world.share(await world.record())
        await world.b_knows_all()
        fetched = await world.b.exchange.fetch(bytes.fromhex(world.b.id), grant)
        with refused(Fault.NOT_GRANTED, "purpose"):
            await world.open_at_b(fetched.record, "HRESCH")
        with pytest.raises(LocalError, match="no PurposeOfUse"):
            await world.open_at_b(fetched.record, "FUN")


async def test_a_fee_is_paid_with_the_receipt(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        record = await world.record()
        paid, dear = await world.share(record, fee=30), await world.share(record, fee=5_000)
        await world.b_knows_all()
        channel = bytes.fromhex(world.b.id)
        await world.b.exchange.fetch(channel, paid)
        assert world.b.keeper.channel.fold.logs[1].spent == 30
        with pytest.raises(LocalError, match="not covered"):
            await world.b.exchange.fetch(channel, dear)
        assert world.b.keeper.channel.fold.logs[1].spent == 30


async def test_a_request_is_answered_by_a_share(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        record = await world.record()
        request = await world.request()
        await world.b_knows_all()
        (seen,) = world.a.exchange.requests()
        assert (seen.side, seen.index, seen.patient, seen.answered) == ("peer", request, "anna", None)
        await world.share(record, request_index=request, purposes=("TREAT", "HPAYMT"))
        assert world.a.exchange.grants(None)[0].purposes == ("TREAT",)
        await world.b_knows_all()
        assert [view.answered for view in world.b.exchange.requests()] == ["granted"]
        with refused(Fault.NOT_GRANTED, "not found"):
            await world.share(await world.record("berta"), request_index=request)


async def test_requests_answer_themselves_where_the_config_says_so(tmp_path: Path) -> None:
    world = make_world(tmp_path, a={"auto_grant": True}, b={"auto_fetch": True})
    async with world.running():
        await world.consent()
        await world.record()
        await world.record("berta")
        await world.request()
        await until(lambda: len(world.b.exchange.records(origin="received")) == 1)
        await world.request("berta")
        await world.request("nobody")
        await until(lambda: all(view.answered for view in world.b.exchange.requests()))
        assert [view.answered for view in world.b.exchange.requests()] == ["granted", "denied", "denied"]
        assert next(detail for what, detail in world.a.heard if what == "denied").endswith("NO_CONSENT")


async def test_an_emergency_is_answered_without_a_consent_and_raises_an_alarm(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.record()
        with pytest.raises(LocalError, match="justification"):
            await world.request(emergency=True, purpose="BTG")
        await world.request(emergency=True, purpose="BTG", justification="unconscious")
        await until(lambda: len(world.b.exchange.grants(None)) == 1)
        assert any(what == "break glass" for what, _ in world.a.heard)
        fetched = await world.b.exchange.fetch(bytes.fromhex(world.b.id), world.b.exchange.grants(None)[0].index)
        assert await world.open_at_b(fetched.record, "BTG") == observation("anna")


async def test_a_custodian_that_is_away_is_fetched_from_later(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        grant = await world.share(await world.record())
        await world.b_knows_all()
        world.may_dial = False
        with pytest.raises(LocalError):
            await world.b.exchange.fetch(bytes.fromhex(world.b.id), grant)
        world.may_dial = True
        await world.b.exchange.fetch(bytes.fromhex(world.b.id), grant)


async def test_all_who_wait_for_a_fetch_are_told_why_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One who joined another's fetch, and one who joined the next."""
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        grant = await world.share(await world.record())
        await world.b_knows_all()

        async def cut(*_: object) -> None:
            await wait_all_tasks_blocked(0.01)
            raise LineClosed("it was cut")

        monkeypatch.setattr(Pulls, "gather", cut)
        told: list[str] = []

        async def ask() -> None:
            with pytest.raises(LocalError) as failed:
                await world.b.exchange.fetch(bytes.fromhex(world.b.id), grant)
            told.append(failed.value.cause)

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                for _ in range(6):
                    nursery.start_soon(ask)
        assert told == ["the line to the custodian ended (it was cut)"] * 6


async def test_only_the_peer_of_a_channel_may_pull_its_grants(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        grant = await world.share(await world.record())
        await world.b_knows_all()
        world.b.hospital.id, own = bytes(20), world.b.hospital.id
        with refused(Fault.NOT_GRANTED, "no such channel"):
            await world.b.exchange.fetch(bytes.fromhex(world.b.id), grant)
        world.b.hospital.id = own


async def test_a_restart_takes_up_what_was_under_way(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        record = await world.record()
        grants = [await world.share(record) for _ in range(3)]
        await world.b_knows_all()
        # A's release task is gone before the receipt comes: the process ends between the two.
        world.a.exchange._listener.heard = lambda dealing, arrived: None  # type: ignore[method-assign]
        dealing = world.b.exchange._dealings[bytes.fromhex(world.b.id)]
        assert await world.b.exchange._fetching.obtain(dealing, [grants[0]]) == {}
        await world.b_knows_all()
        orphan = world.a.bodies.outgoing.locks()[-1]
    for side in (world.a, world.b):
        side.bodies.close()
        side.start(fresh=True)
    assert orphan in world.a.bodies.outgoing.locks()
    async with world.running():
        await until(lambda: len(world.b.exchange.records(origin="received")) == 1)
        await until(lambda: len(world.a.bodies.outgoing.locks()) == 2)
        fetched = await world.b.exchange.fetch(bytes.fromhex(world.b.id), grants[1])
        assert await world.open_at_b(fetched.record) == observation("anna")


async def test_received_records_are_not_ours_to_share_and_unknown_things_say_so(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        grant = await world.share(await world.record())
        await world.b_knows_all()
        fetched = await world.b.exchange.fetch(bytes.fromhex(world.b.id), grant)
        with pytest.raises(LocalError, match="not this hospital's to grant"):
            await world.b.exchange.share(
                bytes.fromhex(fetched.record), words.Share(channel=world.b.id, purposes=("TREAT",))
            )
        with pytest.raises(LocalError, match="no record"):
            world.b.exchange.record(bytes(16))
        with pytest.raises(LocalError, match="no grant"):
            await world.b.exchange.fetch(bytes.fromhex(world.b.id), 77)
        with refused(Fault.UNKNOWN_CHANNEL):
            world.b.exchange.grants(bytes(32))
        with pytest.raises(LocalError, match="no request"):
            await world.share(world.a.exchange.records()[0].record, request_index=5)
        with pytest.raises(LocalError, match="origin"):
            world.a.exchange.records(origin="elsewhere")


async def test_what_can_be_shared_of_each_is_and_nothing_twice(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent()
        ids = [bytes.fromhex(await world.record(patient)) for patient in ("anna", "bert")]
        wanted = words.Share(channel=world.a.id, purposes=("TREAT",))
        with refused(Fault.NOT_GRANTED):
            await world.a.exchange.share_all(ids, wanted)
        assert world.a.exchange.grants(None) == []
        granted, denied = await world.a.exchange.share_each(ids, wanted)
        assert isinstance(granted, words.Granted)
        assert "no consent" in str(denied)
        again, denied = await world.a.exchange.share_each(ids, wanted)
        assert isinstance(again, AlreadyGranted)
        assert len(world.a.exchange.grants(None)) == 1
        await world.b_knows_all()
        (left,) = world.b.exchange.grants(None, is_open=True)
        assert (left.index, left.state) == (granted.grant, "granted")
        await world.b.exchange.fetch(bytes.fromhex(world.b.id), left.index)
        assert world.b.exchange.grants(None, is_open=True) == []
        await world.a.exchange.revoke(bytes.fromhex(world.a.id), granted.grant)
        anew, _ = await world.a.exchange.share_each(ids, wanted)
        assert isinstance(anew, words.Granted)


def files_with(folder: Path, word: bytes) -> tuple[int, list[Path]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return len(files), [path for path in files if word in path.read_bytes()]


async def test_no_patients_name_lies_in_clear_on_the_disk(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        await world.consent("anna-karenina")
        await world.share(await world.record("anna-karenina"))
        await world.b_knows_all()
    for side in (world.a, world.b):
        side.bodies.close()
    count, telling = await trio.to_thread.run_sync(files_with, tmp_path, b"karenina")
    assert count > 3
    assert telling == []


async def test_drafts_of_a_bench_flow_both_ways(tmp_path: Path) -> None:
    world = make_world(tmp_path, a={"bench": True}, b={"bench": True})
    async with world.running():
        channel = bytes.fromhex(world.a.id)
        asks = [RequestDraft(f"p{at % 7}", 0, "dr-b", 0, 2, 0, now_ms(), False, "") for at in range(50)]
        asked = await world.b.exchange.append_drafts(channel, asks, "receipt")
        assert (asked.written, asked.refused_count) == (50, 0)
        indices = [index for first, count in asked.runs for index in range(first, first + count)]
        grants = [GrantDraft(None, index, 0, 1, 0, now_ms() + YEAR_MS, 1, 3, 1) for index in indices]
        granted = await world.a.exchange.append_drafts(channel, grants, "receipt")
        given = [index for first, count in granted.runs for index in range(first, first + count)]
        uses: list[Draft] = [*map(ReceiptDraft, given)]
        uses += [AccessDraft(index, "dr-b", 0, 0) for index in given]
        used = await world.b.exchange.append_drafts(channel, [*uses, AccessDraft(given[0], "dr-b", 0, 5)], "durable")
        assert (used.written, used.refused_count) == (100, 1)
        assert (used.refused[0].position, used.refused[0].reason) == (100, "purpose")
        assert granted.latency_ms is not None
        await world.b_knows_all()
        assert {view.patient for view in world.b.exchange.requests()} == {f"p{at}" for at in range(7)}
        assert {view.state for view in world.a.exchange.grants(channel)} == {"received"}


async def test_drafts_that_may_not_be_are_refused_whole(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    async with world.running():
        channel = bytes.fromhex(world.a.id)
        with pytest.raises(LocalError, match="written by the hospital itself"):
            await world.a.exchange.append_drafts(channel, [ReceiptDraft(0)], "durable")
        with pytest.raises(Refused, match="<= 31"):
            decode_drafts(encode_drafts([AccessDraft(0, "dr-a", 32, 0)]))
        with pytest.raises(LocalError, match="0 drafts"):
            await world.a.exchange.append_drafts(channel, [], "durable")
        assert world.a.keeper.channel.own.size == 0
