"""What a tower does about a close, from the verified row of the channel and what it holds. No chain, no clock.

[VIGIL-3] What we hold is newer than what is posted: to be shown. [VIGIL-4] What the chain does not count, or others
have shown, is let be. [VIGIL-5] Once our challenge stands, we settle when the window is over, for that pays.
"""

from msgspec.structs import replace

from l1.rules.state import Channel, Phase
from l2.protocol.answer_proof import AnswerProof
from l2.tower.rows import Answer, Held, Stand, due_key
from l2.tower.store import Change

__all__ = ["OPEN", "judge", "note_answered", "note_newer", "settle_later"]

OPEN = (Stand.WANTED, Stand.ASKED)
"""Something is still to be done."""


def judge(change: Change, key: bytes, row: Channel, height: int, tower: bytes) -> None:
    """Take in how a watched side of a channel stands on the chain."""
    held, answer = change.held(key), change.answer(key)
    if row.phase == Phase.SETTLED:
        if answer is not None:
            _end(change, key, answer, row, tower)
        change.forget(key)
    elif row.phase == Phase.CLOSING and held is not None:
        _weigh(change, key, held, answer, row, height)


def _weigh(change: Change, key: bytes, held: Held, answer: Answer | None, row: Channel, height: int) -> None:
    posted = row.sides[key[32]].posted.size
    if answer is None:
        answer = Answer(
            stand=Stand.NOTHING_TO_SHOW, hospital=held.hospital, posted=posted, shown=0, seen_at=height,
            closes_at_ms=row.closes_at_ms,
        )  # fmt: skip
    if answer.due_ms:
        answer = _with_due(change, key, answer, row.closes_at_ms)
    stand = _stand(Stand(answer.stand), posted=posted, held=held.size, shown=answer.shown, stale=row.stale)
    now = replace(answer, stand=stand, posted=posted, closes_at_ms=row.closes_at_ms)
    change.put_answer(key, now, waits=stand in OPEN)


def _stand(stand: Stand, *, posted: int, held: int, shown: int, stale: bool) -> Stand:
    if posted < held:
        tried = stand in (Stand.ASKED, Stand.VOID, Stand.TOO_LATE) and shown >= held
        return stand if tried else Stand.WANTED
    if stand in OPEN or (stand == Stand.NOTHING_TO_SHOW and stale):
        return Stand.OTHERS
    return stand


def _end(change: Change, key: bytes, answer: Answer, row: Channel, tower: bytes) -> None:
    stand = Stand.TOO_LATE if answer.stand in OPEN else answer.stand
    reward = row.reward if row.tower == tower and row.closer == key[32] else 0
    change.delete_due(due_key(answer.due_ms, key))
    change.put_answer(key, replace(answer, stand=stand, settled=True, reward=reward), waits=False)


def _with_due(change: Change, key: bytes, answer: Answer, due_ms: int) -> Answer:
    """[VIGIL-5] The answer, with the time at which we settle."""
    change.delete_due(due_key(answer.due_ms, key))
    change.put_due(due_key(due_ms, key))
    return replace(answer, due_ms=due_ms)


def note_newer(change: Change, key: bytes, size: int) -> bool:
    """A newer commitment was handed over while the channel closes; whether it is to be shown."""
    answer = change.answer(key)
    if answer is None or answer.settled or answer.posted >= size:
        return False
    change.put_answer(key, replace(answer, stand=Stand.WANTED), waits=True)
    return True


def note_answered(change: Change, key: bytes, proof: AnswerProof, *, size: int, height: int) -> None:
    """Our challenge stands in this block: keep the proof, and settle once the window is over."""
    answer = change.answer(key)
    if answer is None:
        return
    stand = Stand.WANTED if answer.stand == Stand.WANTED else Stand.ANSWERED  # [VIGIL-3] more may be to be shown
    if not answer.settled:
        answer = _with_due(change, key, answer, answer.closes_at_ms)
    now = replace(answer, stand=stand, proof=proof, shown=max(answer.shown, size), answered_at=height)
    change.put_answer(key, now, waits=stand == Stand.WANTED)


def settle_later(change: Change, key: bytes, due_ms: int) -> None:
    """What was just asked to be settled is asked again then, unless it has come about."""
    answer = change.answer(key)
    if answer is not None and not answer.settled:
        later = _with_due(change, key, answer, due_ms)
        change.put_answer(key, later, waits=later.stand in OPEN)
