"""A tower answers for a hospital that is away: from its own disk, after a restart, beside other towers, and no more."""

from pathlib import Path

import lmdb
import pytest
import trio

from l1.ground.faults import Fault
from l1.rules.state import Channel, Phase, channel_key, decode_channel
from l1.rules.transactions import Challenge, Close, Delegate, Settle, account_of
from l2.protocol.answer_proof import check_answer, load_answer
from l2.tower.rows import Stand, side_key
from l2.tower.store import StoreFailed
from l2.vigil import HandedOver
from tests.unit.l1.rules.world import refuses
from tests.unit.l1.world import REGISTRAR
from tests.unit.l2.tower.town import BOND, TOWER, WINDOW_MS, Town
from tests.unit.l2.tower.world import SHARE, handover, watched

REWARD = BOND * SHARE // 1_000
WINDOW_BLOCKS = WINDOW_MS // 1_000 + 1


def row_of(town: Town, channel: bytes) -> Channel:
    with town.chain.store.snapshot() as snapshot:
        row = snapshot.get(channel_key(channel))
    assert row is not None
    return decode_channel(row)


async def test_a_stale_close_is_answered_settled_and_paid(tmp_path: Path) -> None:
    async with watched(tmp_path) as (town, watch, [channel]), watch.running():
        await watch.watch([channel])
        await town.do(town.a.root, town.close(channel))
        await watch.turn()
        await watch.turn()
        assert row_of(town, channel).stale
        assert watch.stand(channel) == Stand.ANSWERED
        await watch.turn(WINDOW_BLOCKS)
        await watch.turn(2)
        assert row_of(town, channel).phase == Phase.SETTLED
        assert watch.credits() == REWARD
        assert (watch.answer(channel).settled, watch.answer(channel).reward) == (True, REWARD)
        assert watch.held(channel) is None


async def test_it_proves_that_it_answered_to_whoever_has_the_genesis(tmp_path: Path) -> None:
    async with watched(tmp_path, 3) as (town, watch, channels), watch.running():
        await watch.watch(channels)
        await town.do(town.a.root, *(town.close(channel) for channel in channels))
        await watch.turn(2)
        for channel in channels:
            proof = load_answer(await watch.client().proof(channel, 0))
            said = check_answer(proof, town.chain.genesis)
            assert (said.tower, said.channel, said.size) == (account_of(TOWER.public_key), channel, 9)
            assert said.height == watch.answer(channel).answered_at
        with refuses(Fault.UNEXPECTED):
            await watch.client().proof(channels[0], 1)


async def test_an_honest_close_is_left_alone(tmp_path: Path) -> None:
    async with watched(tmp_path) as (town, watch, [channel]), watch.running():
        await watch.watch([channel])
        await town.do(town.a.root, town.close(channel, size=9))
        await watch.turn(3)
        assert watch.stand(channel) == Stand.NOTHING_TO_SHOW
        assert not row_of(town, channel).stale
        assert watch.credits() == 0


async def test_what_was_held_before_a_crash_answers_after_it(tmp_path: Path) -> None:
    async with watched(tmp_path) as (town, watch, [channel]):
        async with watch.running():
            await watch.watch([channel])
        await town.do(town.a.root, town.close(channel))
        await town.wait(3)
        async with watch.running():
            await watch.turn(2)
            assert watch.stand(channel) == Stand.ANSWERED


async def test_what_was_decided_and_not_asked_is_asked_after_a_crash(tmp_path: Path) -> None:
    async with watched(tmp_path) as (town, watch, [channel]):
        async with watch.running() as tower:
            await watch.watch([channel])
            tower.follower._moved = lambda: None  # the power goes before it asks
            await town.do(town.a.root, town.close(channel))
            await watch.turn()
            assert watch.stand(channel) == Stand.WANTED
        async with watch.running():
            await watch.turn(2)
            assert watch.stand(channel) == Stand.ANSWERED


async def test_a_challenge_that_the_node_lost_is_asked_again(tmp_path: Path) -> None:
    async with watched(tmp_path) as (town, watch, [channel]), watch.running():
        await watch.watch([channel])
        await town.do(town.a.root, town.close(channel))
        await watch._idle()
        assert watch.stand(channel) == Stand.ASKED
        town.chain.pool.settle([], town.chain.pool.candidates(), height=9, clock_ms=0)  # its node forgets all
        await watch.turn(12)
        assert watch.stand(channel) == Stand.ANSWERED


async def test_somebody_else_was_first(tmp_path: Path) -> None:
    async with watched(tmp_path, 20) as (town, watch, channels), watch.running() as tower:
        await watch.watch(channels)
        tower.follower._moved = lambda: None  # it is slow today
        await town.do(town.a.root, *(town.close(channel) for channel in channels))
        await watch.turn()
        newer = [town.says(channel, 0, 9, seen=2) for channel in channels[5:]]
        shown = zip(channels[5:], newer, strict=True)
        town.submit(town.b.root, *(Challenge(channel=channel, side=0, commitment=said) for channel, said in shown))
        await tower.answerer.act()  # no block has said so yet: the chain's node refuses what waits there already
        assert {watch.stand(channel) for channel in channels} == {Stand.ASKED}
        await watch.turn(2)
        assert [watch.stand(channel) for channel in channels] == [Stand.ANSWERED] * 5 + [Stand.OTHERS] * 15
        assert watch.credits() == 0


async def test_newer_words_that_come_while_the_window_is_open_are_shown_too(tmp_path: Path) -> None:
    async with watched(tmp_path) as (town, watch, [channel]), watch.running():
        await watch.watch([channel], size=5)
        await town.do(town.a.root, town.close(channel))
        await watch.turn(2)
        await watch.watch([channel], size=9)
        await watch.turn(2)
        assert row_of(town, channel).sides[0].posted.size == 9
        assert watch.answer(channel).shown == 9


async def test_words_that_first_come_while_the_channel_is_closing_are_shown(tmp_path: Path) -> None:
    async with watched(tmp_path) as (town, watch, [channel]), watch.running():
        await town.do(town.a.root, town.close(channel))
        await watch.turn()
        await watch.watch([channel])
        await watch.turn(2)
        assert watch.stand(channel) == Stand.ANSWERED


async def test_one_tower_may_watch_for_both(tmp_path: Path) -> None:
    async with watched(tmp_path) as (town, watch, [channel]), watch.running():
        await town.do(town.a.root, Delegate(hospital=town.a.id, tower=account_of(TOWER.public_key), reward=0))
        await watch.watch([channel])
        town.a, town.b = town.b, town.a
        bobs = (channel, town.says(channel, 1, 4, signer=town.a.channel))
        assert (await watch.hand(bobs)).held == 1
        town.a, town.b = town.b, town.a
        close = Close(channel=channel, own=town.says(channel, 1, 1), peer=town.says(channel, 0, 2), lost=False)
        await town.do(town.b.root, close)
        await watch.turn(3)
        assert [side.posted.size for side in row_of(town, channel).sides] == [9, 4]
        assert watch.stand(channel, 0) == watch.stand(channel, 1) == Stand.ANSWERED


async def test_the_cost_of_a_block_is_that_of_its_transactions(tmp_path: Path) -> None:
    async with watched(tmp_path, 40) as (town, watch, channels), watch.running():
        await watch.watch(channels)
        await watch.turn()
        town.node.asked.clear()
        await town.do(town.a.root, town.close(channels[7], size=9))
        await watch.turn(4)
        assert town.node.asked["/v1/rows"] == 1
        assert town.node.asked["/v1/blocks"] == 1


async def test_who_ends_the_watch_is_forgotten(tmp_path: Path) -> None:
    async with watched(tmp_path, 2) as (town, watch, channels), watch.running():
        await watch.watch(channels)
        ends = Delegate(hospital=town.b.id, tower=account_of(TOWER.public_key), reward=None)
        await town.do(town.b.root, ends)
        await watch.turn()
        assert [watch.held(channel) for channel in channels] == [None, None]
        with refuses(Fault.NOT_AUTHORISED):
            await watch.hand((channels[0], town.says(channels[0], 0, 12)))


async def test_a_channel_that_ended_is_forgotten(tmp_path: Path) -> None:
    async with watched(tmp_path) as (town, watch, [channel]), watch.running():
        await watch.watch([channel])
        await town.do(town.a.root, town.close(channel, size=9))
        await watch.turn(WINDOW_BLOCKS)
        await town.do(town.a.root, Settle(channel=channel))
        await watch.turn()
        assert watch.held(channel) is None
        said = await watch.hand((channel, town.says(channel, 0, 9)))
        assert [each.fault for each in said.refused] == ["wrong_phase"]


async def test_a_handover_counts_only_from_a_hospital_that_named_the_tower(tmp_path: Path) -> None:
    async with watched(tmp_path) as (town, watch, [channel]), watch.running():
        words = (channel, town.says(channel, 0, 9))
        with refuses(Fault.NOT_AUTHORISED):
            await watch.client().hand_over(handover(town, words, tower=REGISTRAR))
        good = handover(town, words)
        for at in (len(good) // 3, len(good) - 5):
            with refuses(Fault.BAD_SIGNATURE):
                await watch.client().hand_over(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        town.a, town.b = town.b, town.a  # alice has not named it
        with refuses(Fault.NOT_AUTHORISED):
            await watch.hand(words)


async def test_only_the_peers_own_words_are_held(tmp_path: Path) -> None:
    async with watched(tmp_path) as (town, watch, [channel]), watch.running():
        forged = (channel, town.says(channel, 0, 9, signer=town.b.channel))
        own = (channel, town.says(channel, 1, 9))
        unknown = (bytes(32), town.says(channel, 0, 9))
        said = await watch.hand(forged, own, unknown, (channel, town.says(channel, 0, 7)))
        assert said.held == 1
        assert [each.fault for each in said.refused] == ["bad_signature", "not_authorised", "unknown_channel"]
        held = watch.held(channel)
        assert held is not None
        assert held.size == 7
        await watch.watch([channel], size=3)  # older words, again: no harm
        assert watch.held(channel) == held


async def test_words_from_after_a_resume_count_more_than_greater_ones_from_before(tmp_path: Path) -> None:
    """[HAND-4] Bob went back to an old copy and said so; Alice signs anew, and closes stale."""
    async with watched(tmp_path) as (town, watch, [channel]), watch.running():
        await watch.watch([channel])
        height = town.chain.tip.height
        await town.do(town.a.channel, town.resumes(channel, 0, 1, height=height))
        for size in (7, 8):
            said = await watch.hand((channel, town.says(channel, 0, size, seen=2, height=height)))
            assert said == HandedOver(held=1)
        await watch.watch([channel])  # what is void already, again: no harm
        stale = Close(channel=channel, own=town.says(channel, 0, 2, height=height), peer=None, lost=False)
        await town.do(town.a.root, stale)
        await watch.turn(2)
        assert watch.stand(channel) == Stand.ANSWERED
        assert row_of(town, channel).stale
        assert row_of(town, channel).sides[0].posted.size == 8


async def test_a_damaged_row_ends_the_process(tmp_path: Path) -> None:
    async with watched(tmp_path) as (town, watch, [channel]):
        async with watch.running():
            await watch.watch([channel])
        with lmdb.open(str(tmp_path / "tower.mdb"), subdir=False, max_dbs=8, map_size=1 << 38) as file:
            held = file.open_db(b"held", create=False)
            with file.begin(write=True, db=held) as writing:
                writing.put(side_key(channel, 0), b"not a row")
        with pytest.RaisesGroup(StoreFailed, flatten_subgroups=True):
            async with watch.running():
                await town.do(town.a.root, town.close(channel))
                await trio.sleep_forever()
