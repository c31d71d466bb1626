"""[ROT-2] A copy of a disk does not tell which key its later self signed with, nor may it close with what it holds."""

from l1.ground.hashing import digest
from l1.ground.signing import PrivateKey
from l1.rules.transactions import Close
from l2.protocol.channel import Me
from l2.protocol.events import Froze, KeyOver, KeyReady, MessageReceived, PeerKeysSeen, Submit
from l2.protocol.phases import Phase
from l2.protocol.rotation import PATIENCE_BLOCKS
from tests.unit.l2.protocol.stories import granted
from tests.unit.l2.protocol.test_rotation import (
    BOTH,
    NEW,
    WINDOW_MS,
    learns,
    ready,
    row,
    signed_key,
    switched,
    write,
)
from tests.unit.l2.protocol.world import NOW_MS, Pair


def copied_before_the_switch() -> Pair:
    """Side 0 wrote under key 1, lost its line, changed the key, and said the same words under key 4. Its disk is then a
    copy from between: it holds the same head under key 1, and its peer has nothing to give back."""
    pair = Pair()
    granted(pair)
    pair.settle()
    pair.cut()
    write(pair, 0)
    copy = pair.stores[0].copy()
    learns(pair)
    pair.height += PATIENCE_BLOCKS + 1
    pair.do(0, KeyReady(NEW, 4, 1))
    pair.block()
    pair.calm()
    assert signed_key(pair, 1) == 4
    pair.crash(0, copy)
    assert signed_key(pair, 0) == 1
    return pair


def test_a_copy_from_before_a_key_that_is_over_signs_nothing_under_the_older_one() -> None:
    pair = copied_before_the_switch()
    pair.channels[0].over = 4  # says the shell, which found it revoked, or not in its keyring
    pair.calm()
    write(pair, 0)
    pair.settle()
    assert pair.channels[0].queued == 1
    assert not any(isinstance(effect, Froze) for effects in pair.effects for effect in effects)
    newer = PrivateKey(digest(b"a's third key"))
    pair.do(1, PeerKeysSeen(BOTH | {5: newer.public_key}))
    pair.do(0, KeyReady(newer, 5, pair.height))
    pair.settle()
    assert pair.channels[0].resumed
    assert signed_key(pair, 1) == 5
    assert pair.channels[1].peer.size == pair.channels[0].own.size
    assert pair.channels[1].phase is Phase.OPEN


def test_who_has_not_resumed_takes_a_newer_key_at_once() -> None:
    pair = copied_before_the_switch()
    pair.do(0, KeyReady(NEW, 4, pair.height + 1))  # its older self may have signed with it
    assert pair.channels[0].me.key == 4
    pair.calm()
    write(pair, 0)
    pair.settle()
    assert signed_key(pair, 1) == 4
    assert pair.channels[1].phase is Phase.OPEN


def test_a_key_that_is_revoked_while_it_waits_for_the_peer_never_signs_nor_does_the_older_one() -> None:
    pair = Pair()
    granted(pair)
    pair.settle()
    pair.block()
    ready(pair)
    assert pair.channels[0].coming is not None
    pair.do(0, KeyOver(4))
    learns(pair)
    pair.height += PATIENCE_BLOCKS
    pair.block()
    write(pair, 0)
    pair.settle()
    assert pair.channels[0].me.key == 1
    assert pair.channels[0].queued == 1
    pair.do(0, KeyReady(NEW, 4, 1))  # told once more of what is over
    pair.block()
    assert pair.channels[0].me.key == 1


def test_what_the_peer_lacks_waits_where_its_own_key_gave_way_to_one_that_is_over() -> None:
    pair = Pair()
    granted(pair)
    pair.settle()
    pair.cut()
    write(pair, 0)
    pair.do(0, KeyOver(4))
    pair.calm()
    held = pair.channels[1].peer.size
    assert held < pair.channels[0].own.size
    learns(pair)
    newer = PrivateKey(digest(b"a's third key"))
    pair.do(1, PeerKeysSeen(BOTH | {5: newer.public_key}))
    pair.do(0, KeyReady(newer, 5, pair.height))
    pair.calm()
    assert signed_key(pair, 1) == 5
    assert pair.channels[1].peer.size == pair.channels[0].own.size


def test_what_the_peer_lacks_under_the_newest_key_comes_though_that_one_was_revoked() -> None:
    pair = switched()
    pair.cut()
    write(pair, 0)
    pair.do(0, KeyOver(4))
    pair.calm()
    assert pair.channels[1].peer.size == pair.channels[0].own.size
    assert signed_key(pair, 1) == 4


def test_a_process_that_hears_of_its_newer_key_and_of_the_resume_at_once_signs_with_the_newer() -> None:
    pair = copied_before_the_switch()
    pair.connect()
    pair.settle()
    pair.block()
    pair.block()
    pair.deliver(1)
    given = [MessageReceived(send.type, send.payload) for send in pair.inboxes[0]]
    pair.inboxes[0].clear()
    pair.do(0, KeyReady(NEW, 4, pair.height), *given)
    assert pair.channels[0].resumed
    assert pair.channels[0].me.key == 4


def test_a_head_is_not_signed_again_by_a_key_that_is_over() -> None:
    pair = Pair()
    granted(pair)
    pair.settle()
    pair.crash(0)
    pair.channels[0].me, pair.channels[0].over = Me(NEW, 4, pair.channels[0].me.secret), 4
    pair.calm()
    assert signed_key(pair, 0) == 1


def test_who_has_not_resumed_shows_no_old_words_of_its_own_to_save_the_peers() -> None:
    pair = Pair()
    granted(pair)
    pair.settle()
    copy = pair.stores[1].copy()
    write(pair, 1)
    pair.settle()
    pair.crash(1, copy)
    pair.channels[1].key_window_ms = WINDOW_MS
    late = row(pair, newest_key=4, clock_ms=NOW_MS + WINDOW_MS // 2)
    assert not any(isinstance(effect, Submit) for effect in pair.do(1, late)), "it may resume yet"
    late = row(pair, newest_key=4, clock_ms=NOW_MS + WINDOW_MS * 3 // 4)
    (asked,) = [effect.action for effect in pair.do(1, late) if isinstance(effect, Submit)]
    assert isinstance(asked, Close)
    assert asked.lost
    assert asked.own is None
    assert asked.peer == pair.channels[1].peer.signed
