"""What a tower does about a close, from the verified row of the channel and what it holds. No chain, no clock, no disk.

[VIGIL-3] What we hold is newer than what is posted: to be shown. [VIGIL-4] What the chain does not count, or others
have shown, is let be. [VIGIL-5] Once our challenge stands, we settle when the window is over, for that pays.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from msgspec.structs import replace

from l1.ground.faults import Fault, Refused
from l1.rules.commitment import decode_commitment
from l1.rules.outcomes import open_item
from l1.rules.state import Channel, Phase
from l1.rules.touched import Touched
from l1.rules.transactions import Challenge, decode_transaction
from l2.protocol.answer_proof import AnswerProof
from l2.protocol.watch import AGAIN_BLOCKS
from l2.tower.rows import Answer, Held, Stand, due_key, side_key

__all__ = [
    "AGAIN",
    "OPEN",
    "Book",
    "Wanted",
    "challenges_of",
    "is_lost",
    "judge",
    "look_again",
    "note_answered",
    "note_asked",
    "note_newer",
    "settle_later",
    "wanted",
    "watched_of",
]


class Book(Protocol):
    """What a tower remembers, by the keys of `l2.tower.rows`: read, and changed, within one transaction."""

    def held(self, key: bytes) -> Held | None: ...
    def hold(self, key: bytes, held: Held) -> None: ...
    def forget(self, key: bytes) -> None: ...
    def answer(self, key: bytes) -> Answer | None: ...
    def put_answer(self, key: bytes, answer: Answer, *, waits: bool) -> None: ...
    def waiting(self) -> list[bytes]: ...
    def put_due(self, key: bytes) -> None: ...
    def delete_due(self, key: bytes) -> None: ...


OPEN = (Stand.WANTED, Stand.ASKED)
"""Something is still to be done."""

AGAIN = frozenset({Fault.BAD_NONCE, Fault.MEMPOOL_FULL, Fault.TOO_FEW_CREDITS, Fault.UNKNOWN_ACCOUNT})
"""Refusals that say nothing about the action itself: it may be asked again."""

_LATE = frozenset({Fault.WINDOW_OVER, Fault.WRONG_PHASE})
_LIVE = frozenset({Fault.EVIDENCE_PROVES_NOTHING, *AGAIN})
"""Refusals after which the row decides."""

Wanted = tuple[bytes, Answer, Held]

# -- what a block says ------------------------------------------------------------------------------------------


def watched_of(book: Book, touched: Touched) -> list[bytes]:
    """Which of the touched channels' sides are watched, or have been answered."""
    keys = [side_key(channel, side) for channel in sorted(touched.channels) for side in (0, 1)]
    return [key for key in keys if book.held(key) is not None or book.answer(key) is not None]


def challenges_of(items: Sequence[bytes], chain: bytes, key: bytes) -> list[tuple[int, bytes, int]]:
    """Index, side and shown size of each challenge in a block that this key asked for."""
    found = []
    for index, data in enumerate(items):
        signed, failed = open_item(data)
        if failed is not None:
            continue  # it is looked up, and asked again, as if the node had lost it
        asked, _ = decode_transaction(signed, chain)
        if asked.key == key and isinstance(asked.action, Challenge):
            size = decode_commitment(asked.action.commitment.body).size
            found.append((index, side_key(asked.action.channel, asked.action.side), size))
    return found


def judge(book: Book, key: bytes, row: Channel, height: int, tower: bytes) -> None:
    """Take in how a watched side of a channel stands on the chain."""
    held, answer = book.held(key), book.answer(key)
    if row.phase == Phase.SETTLED:
        if answer is not None:
            _end(book, key, answer, row, tower)
        book.forget(key)
    elif row.phase == Phase.CLOSING and held is not None:
        _weigh(book, key, held, answer, row, height)


def _weigh(book: Book, key: bytes, held: Held, answer: Answer | None, row: Channel, height: int) -> None:
    posted = row.sides[key[32]].posted.size
    if answer is None:
        answer = Answer(
            stand=Stand.NOTHING_TO_SHOW, hospital=held.hospital, posted=posted, shown=0, seen_at=height,
            closes_at_ms=row.closes_at_ms,
        )  # fmt: skip
    if answer.due_ms:
        answer = _with_due(book, key, answer, row.closes_at_ms)
    stand = _stand(Stand(answer.stand), posted=posted, held=held.size, shown=answer.shown, stale=row.stale)
    now = replace(answer, stand=stand, posted=posted, closes_at_ms=row.closes_at_ms)
    book.put_answer(key, now, waits=stand in OPEN)


def _stand(stand: Stand, *, posted: int, held: int, shown: int, stale: bool) -> Stand:
    if posted < held:
        tried = stand in (Stand.ASKED, Stand.VOID, Stand.TOO_LATE) and shown >= held
        return stand if tried else Stand.WANTED
    if stand in OPEN or (stand == Stand.NOTHING_TO_SHOW and stale):
        return Stand.OTHERS
    return stand


def _end(book: Book, key: bytes, answer: Answer, row: Channel, tower: bytes) -> None:
    stand = Stand.TOO_LATE if answer.stand in OPEN else answer.stand
    reward = row.reward if row.tower == tower and row.closer == key[32] else 0
    book.delete_due(due_key(answer.due_ms, key))
    book.put_answer(key, replace(answer, stand=stand, settled=True, reward=reward), waits=False)


def _with_due(book: Book, key: bytes, answer: Answer, due_ms: int) -> Answer:
    """[VIGIL-5] The answer, with the time at which we settle."""
    book.delete_due(due_key(answer.due_ms, key))
    book.put_due(due_key(due_ms, key))
    return replace(answer, due_ms=due_ms)


def note_newer(book: Book, key: bytes, size: int) -> bool:
    """A newer commitment was handed over while the channel closes; whether it is to be shown."""
    answer = book.answer(key)
    if answer is None or answer.settled or answer.posted >= size:
        return False
    book.put_answer(key, replace(answer, stand=Stand.WANTED), waits=True)
    return True


def note_answered(book: Book, key: bytes, proof: AnswerProof, *, size: int, height: int) -> None:
    """Our challenge stands in this block: keep the proof, and settle once the window is over."""
    answer = book.answer(key)
    if answer is None:
        return
    stand = Stand.WANTED if answer.stand == Stand.WANTED else Stand.ANSWERED  # [VIGIL-3] more may be to be shown
    if not answer.settled:
        answer = _with_due(book, key, answer, answer.closes_at_ms)
    now = replace(answer, stand=stand, proof=proof, shown=max(answer.shown, size), answered_at=height)
    book.put_answer(key, now, waits=stand == Stand.WANTED)


def settle_later(book: Book, key: bytes, due_ms: int) -> None:
    """What was just asked to be settled is asked again then, unless it has come about."""
    answer = book.answer(key)
    if answer is not None and not answer.settled:
        later = _with_due(book, key, answer, due_ms)
        book.put_answer(key, later, waits=later.stand in OPEN)


# -- bringing it to the chain -----------------------------------------------------------------------------------


def wanted(book: Book, stand: Stand) -> Iterator[Wanted]:
    """Answers about which something is still to be done, that stand so."""
    for key in book.waiting():
        answer, held = book.answer(key), book.held(key)
        if answer is not None and held is not None and answer.stand == stand:
            yield key, answer, held


def is_lost(answer: Answer, height: int) -> bool:
    """Whether what the chain's node took stands in none of many blocks."""
    return height >= answer.asked_at + AGAIN_BLOCKS


def look_again(book: Book, key: bytes, answer: Answer, row: Channel, height: int, tower: bytes) -> None:
    """[VIGIL-3] What was asked, and did not happen, is wanted again if the row still wants it."""
    book.put_answer(key, replace(answer, stand=Stand.WANTED), waits=True)
    judge(book, key, row, height, tower)


def note_asked(book: Book, key: bytes, size: int, refused: Refused | None, height: int) -> None:
    """The chain's node took our challenge, which shows `size`, or refused it."""
    answer = book.answer(key)
    if answer is not None and answer.stand == Stand.WANTED:
        stand = _stand_after(refused)
        book.put_answer(key, replace(answer, stand=stand, shown=size, asked_at=height), waits=stand == Stand.ASKED)


def _stand_after(refused: Refused | None) -> Stand:
    if refused is None or refused.fault in _LIVE:
        return Stand.ASKED
    return Stand.TOO_LATE if refused.fault in _LATE else Stand.VOID
