"""A channel key changes while batches flow: nothing waits, nothing is lost, and no words are said twice."""

from msgspec.structs import replace

from l1.ground.faults import Fault
from l1.ground.hashing import digest
from l1.ground.signing import PrivateKey
from l1.rules import state as l1_state
from l1.rules.commitment import EMPTY_HEAD, Head
from l1.rules.transactions import Checkpoint, Close, CloseTogether, ResumeChannel
from l2.protocol.channel import Me
from l2.protocol.events import (
    AskCheckpoint,
    AskClose,
    BlockSeen,
    Froze,
    KeyReady,
    PeerKeysSeen,
    Submit,
)
from l2.protocol.limits import HELD_BATCHES_MAX
from l2.protocol.phases import Phase
from l2.protocol.rotation import PATIENCE_BLOCKS
from tests.unit.l2.protocol.stories import consent, consent_terms, granted, request, request_terms
from tests.unit.l2.protocol.world import KEYS, NOW_MS, OPENING, Pair

NEW = PrivateKey(digest(b"a's later key"))
BOTH = {1: KEYS[0].public_key, 4: NEW.public_key}
WINDOW_MS = 60_000


def ready(pair: Pair) -> None:
    """Side 0 has a new key in the registry as of now; its peer may not know it yet."""
    pair.do(0, KeyReady(NEW, 4, pair.height))


def learns(pair: Pair) -> None:
    pair.do(1, PeerKeysSeen(BOTH))


def write(pair: Pair, side: int, subject: int = 7) -> None:
    if side:
        pair.append(1, [request(subject)], [request_terms()])
    else:
        pair.append(0, [consent()], [consent_terms(document=digest(bytes([subject])))])


def switched() -> Pair:
    """Side 0 signs with its new key, and both know."""
    pair = Pair()
    granted(pair)
    pair.block()
    learns(pair)
    write(pair, 1)
    pair.settle()
    ready(pair)
    write(pair, 0)
    pair.settle()
    assert pair.channels[0].own.signed is not None
    assert pair.channels[0].own.signed.key == 4
    return pair


def signed_key(pair: Pair, holder: int, side: int = 0) -> int:
    signed = pair.channels[holder].heads[side].signed
    assert signed is not None
    return signed.key


def row(pair: Pair, *, newest_key: int = 0, settled: Head = EMPTY_HEAD, clock_ms: int = NOW_MS) -> BlockSeen:
    """The channel's row in a new block, in which side 0 has been checkpointed under that key."""
    pair.height += 20
    side = l1_state.SideState(deposit=1_000, bond=500)
    rotated = replace(side, settled=settled, newest_key=newest_key, newest_key_at_ms=NOW_MS)
    channel = l1_state.Channel(
        id=pair.channels[0].id, opening=OPENING, opened_at=1, opened_at_ms=0, phase=l1_state.Phase.OPEN,
        sides=(rotated, side),
    )  # fmt: skip
    return BlockSeen(height=pair.height, clock_ms=clock_ms, row=channel)


def test_the_key_changes_once_the_peers_words_show_that_it_has_read_the_block() -> None:
    pair = Pair()
    granted(pair)
    pair.block()
    ready(pair)
    write(pair, 0, 1)
    pair.settle()
    assert signed_key(pair, 1) == 1  # what the peer had signed was older than the block
    learns(pair)
    write(pair, 0, 2)
    pair.settle()
    assert signed_key(pair, 1) == 4
    pair.channels[0].coming = None
    assert signed_key(pair, 0) == 4
    assert not pair.channels[1].held


def test_a_peer_that_says_nothing_is_waited_for_some_blocks_only() -> None:
    pair = Pair()
    granted(pair)
    pair.do(0, KeyReady(NEW, 4, 2))
    pair.height += PATIENCE_BLOCKS - 1
    pair.block()
    assert pair.channels[0].me.key == 1
    pair.block()
    assert pair.channels[0].me.key == 4
    assert signed_key(pair, 0) == 4  # the newest head too, though nothing was written


def test_words_by_a_key_that_is_not_known_yet_are_held_and_come_in_order() -> None:
    pair = Pair()
    granted(pair)
    pair.channels[0].me = Me(NEW, 4, pair.channels[0].me.secret)
    for subject in range(3):
        write(pair, 0, subject)
    pair.do(0, AskClose(alone=False, lost=False))
    size = pair.channels[1].peer.size
    pair.settle()
    assert pair.channels[1].peer.size == size
    assert len(pair.channels[1].held) == 3
    learns(pair)
    pair.settle()
    assert pair.channels[1].phase is Phase.CLOSING
    asked = [effect.action for effect in pair.effects[1] if isinstance(effect, Submit)]
    assert any(isinstance(action, CloseTogether) for action in asked)
    pair.check()


def test_a_resume_by_a_key_that_is_not_known_yet_is_held() -> None:
    pair = Pair()
    granted(pair)
    pair.channels[0].me = Me(NEW, 4, pair.channels[0].me.secret)
    pair.restart(1)
    assert pair.channels[1].held
    assert not pair.channels[1].resumed
    learns(pair)
    assert pair.channels[1].resumed
    assert pair.channels[1].phase is Phase.OPEN


def test_a_last_word_and_a_closing_by_an_unknown_key_are_held() -> None:
    pair = Pair()
    granted(pair)
    pair.settle()
    pair.channels[0].me = Me(NEW, 4, pair.channels[0].me.secret)
    pair.do(0, AskClose(alone=False, lost=False))
    pair.settle()
    assert pair.channels[1].phase is Phase.OPEN
    learns(pair)
    pair.settle()
    assert {channel.phase for channel in pair.channels} == {Phase.CLOSING}
    assert not any(isinstance(effect, Froze) for effects in pair.effects for effect in effects)


def test_unknown_keys_are_not_held_without_end() -> None:
    pair = Pair()
    granted(pair)
    pair.channels[0].me = Me(NEW, 4, pair.channels[0].me.secret)
    for _ in range(HELD_BATCHES_MAX + 1):
        pair.channels[0].under_way.clear()
        write(pair, 0)
        pair.deliver(1)
    froze = [effect for effect in pair.effects[1] if isinstance(effect, Froze)]
    assert [effect.fault for effect in froze] == [Fault.HELD]


def test_the_number_of_the_key_never_falls_along_a_log() -> None:
    pair = switched()
    pair.channels[0].me = Me(KEYS[0], 1, pair.channels[0].me.secret)
    assert not pair.channels[0].may_sign()  # as a folder that was restored without its newer key
    write(pair, 0)
    pair.settle()
    assert pair.channels[0].queued == 1
    newest = pair.channels[0].own.signed
    assert newest is not None
    pair.channels[0].own.signed = replace(newest, key=1)
    write(pair, 0)
    pair.settle()
    froze = [effect for effect in pair.effects[1] if isinstance(effect, Froze)]
    assert [effect.fault for effect in froze] == [Fault.EXPIRED]


def test_what_the_peer_lacks_comes_under_the_new_key_with_the_same_words() -> None:
    pair = Pair()
    granted(pair)
    pair.settle()
    pair.cut()
    for subject in range(3):
        write(pair, 0, subject)
    pair.channels[1].peer_keys = {4: NEW.public_key}  # the old one counts no longer
    pair.height += PATIENCE_BLOCKS + 1
    pair.do(0, KeyReady(NEW, 4, 1))
    pair.block()
    pair.calm()
    assert signed_key(pair, 1) == 4
    assert signed_key(pair, 0) == 4
    pair.words.check()
    assert pair.channels[1].peer.signed == pair.channels[0].own.signed


def test_a_crash_after_the_switch_goes_on_with_the_new_key() -> None:
    pair = switched()
    pair.crash(0)
    assert not pair.channels[0].may_sign()
    pair.channels[0].me = Me(NEW, 4, pair.channels[0].me.secret)
    pair.calm()
    write(pair, 0, 9)
    pair.settle()
    pair.channels[1].peer_keys = BOTH
    assert signed_key(pair, 1) == 4


def test_a_checkpoint_ends_the_old_key_though_nothing_new_was_written() -> None:
    pair = Pair()
    granted(pair)
    pair.settle()
    settled = pair.channels[0].own.frontier
    pair.do(0, row(pair, newest_key=1, settled=Head(size=settled.size, root=settled.root())))
    pair.height += PATIENCE_BLOCKS
    pair.do(0, KeyReady(NEW, 4, 1))
    effects = pair.do(0, AskCheckpoint())
    shown = next(effect.action for effect in effects if isinstance(effect, Submit))
    assert isinstance(shown, Checkpoint)
    assert 4 in [signed.key for signed in shown.heads[0].commitments]


def test_a_head_signed_again_with_no_batch_since_is_no_damage_at_the_next_start() -> None:
    pair = Pair()
    granted(pair)
    pair.settle()
    pair.height += PATIENCE_BLOCKS
    pair.block()
    pair.do(0, KeyReady(NEW, 4, 1))
    assert signed_key(pair, 0) == 4
    pair.crash(0)
    assert signed_key(pair, 0) == 4


def test_words_under_a_key_that_gives_way_are_brought_to_the_chain_in_time() -> None:
    pair = Pair()
    granted(pair)
    pair.settle()
    channel = pair.channels[1]
    channel.key_window_ms = WINDOW_MS
    asked = [effect.action for effect in pair.do(1, row(pair, newest_key=4)) if isinstance(effect, Submit)]
    assert [type(action) for action in asked] == [Checkpoint]
    late = row(pair, newest_key=4, clock_ms=NOW_MS + WINDOW_MS // 2)
    asked = [effect.action for effect in pair.do(1, late) if isinstance(effect, Submit)]
    assert [type(action) for action in asked] == [Close]


def test_words_that_are_settled_need_no_help() -> None:
    pair = Pair()
    granted(pair)
    pair.settle()
    settled = pair.channels[1].peer.frontier
    seen = row(pair, newest_key=4, settled=Head(size=settled.size, root=settled.root()))
    assert not any(isinstance(effect, Submit) for effect in pair.do(1, seen))


def test_a_resume_under_a_key_that_gives_way_is_brought_to_the_chain() -> None:
    pair = Pair()
    granted(pair)
    pair.restart(1)
    pair.settle()
    asked = [effect.action for effect in pair.do(1, row(pair, newest_key=4)) if isinstance(effect, Submit)]
    resume = pair.channels[1].row.resume
    assert resume is not None
    assert ResumeChannel(channel=pair.channels[1].id, resume=resume) in asked
