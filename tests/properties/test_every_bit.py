"""EVIDENCE-3, by exhaustion: whatever single bit or field of accepted evidence is changed, the chain refuses it.

Every charge, every answer to one, in short logs and in long ones. Nothing here is sampled.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec import msgpack
from msgspec.structs import replace

from l1.ground.codec import decoder, encode
from l1.ground.faults import Refused
from l1.ground.limits import TRANSACTION_BYTES_MAX
from l1.rules.accounts import Asking
from l1.rules.apply import perform
from l1.rules.evidence import decode_evidence
from l1.rules.judge import Unproven, judge
from l1.rules.state import Draft
from l1.rules.transactions import Action, Close
from tests.stories.misdeeds import MISDEEDS, PLAYS, Deed, Misdeed, Play, court, done, played, second_close
from tests.stories.world import Story

decode_action = decoder(Action, bytes_max=TRANSACTION_BYTES_MAX, what="action")  # type: ignore[arg-type, var-annotated]

Accepts = Callable[[bytes], bool]


def bits(good: bytes) -> Iterator[bytes]:
    """`good` with each of its bits changed alone."""
    for bit in range(len(good) * 8):
        bent = bytearray(good)
        bent[bit // 8] ^= 1 << bit % 8
        yield bytes(bent)


def fields(good: bytes) -> Iterator[bytes]:
    """`good` with each of its fields, at every depth, replaced alone: by another value, its neighbour, nothing."""
    whole = msgpack.decode(good)
    for path, value in _walk(whole, ()):
        for other in _others(value, whole, path):
            bent = encode(_put(whole, path, other))
            if bent != good:
                yield bent


def _walk(value: Any, path: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Any]]:
    yield path, value
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _walk(each, (*path, index))


def _others(value: Any, whole: Any, path: tuple[int, ...]) -> Iterator[Any]:
    yield None
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value + 256, 2**53 - 1, *([value - 1, 0] if value else []))
    elif isinstance(value, bytes):
        yield from (b"", value[:-1], value[1:], value + b"\0", b"\0" + value, bytes(len(value)), value[::-1])
    elif isinstance(value, list):
        yield from ([], value[:-1], value[1:], value[::-1], [*value, *value[-1:]], [*value[:1], *value])
    if path:
        parent = whole
        for index in path[:-1]:
            parent = parent[index]
        yield from parent


def _put(whole: Any, path: tuple[int, ...], value: Any) -> Any:
    if not path:
        return value
    return [_put(each, path[1:], value) if index == path[0] else each for index, each in enumerate(whole)]


def judged(story: Story) -> Accepts:
    """Whether evidence convicts anybody there."""
    here, clock_ms = court(story), story.tip.clock_ms

    def accepts(evidence: bytes) -> bool:
        try:
            decoded = decode_evidence(evidence)
        except Refused:
            return False
        return not isinstance(judge(decoded, here, clock_ms), Unproven)

    return accepts


def performed(story: Story, deed: Deed) -> Accepts:
    """Whether the chain takes an action of that key there."""
    asking = Asking(deed.key.public_key, story.chain, story.tip.height + 1, story.tip.clock_ms + 100)

    def accepts(action: bytes) -> bool:
        try:
            perform(Draft(story), asking, decode_action(action))
        except Refused:
            return False
        return True

    return accepts


def accepted(good: bytes, accepts: Accepts) -> list[str]:
    """What of `good` can be changed, alone, and is still accepted."""
    assert accepts(good)
    bent = [*bits(good), *fields(good)]
    assert len(bent) > 8 * len(good)
    return [each.hex() for each in bent if accepts(each)]


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_no_bit_and_no_field_of_evidence_can_change(misdeed: Misdeed) -> None:
    story, evidence = done(misdeed)
    assert accepted(encode(evidence), judged(story)) == []


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_no_bit_and_no_field_of_evidence_from_long_logs_can_change(misdeed: Misdeed) -> None:
    story = Story()
    for _ in range(33):
        story.consent()
        story.request()
    evidence = misdeed(story)
    assert accepted(encode(evidence), judged(story)) == []


@pytest.mark.parametrize("play", [play for play in PLAYS if play is not second_close])
def test_no_bit_and_no_field_of_what_decides_a_quarrel_can_change(play: Play) -> None:
    story, deed = played(play)
    assert accepted(encode(deed.action), performed(story, deed)) == []


def test_of_a_second_close_nothing_can_change_but_what_says_nothing_there() -> None:
    """[CLOSE-7] It is a challenge; whether its sender is lost is asked of the first close alone."""
    story, deed = played(second_close)
    changed = {decode_action(bytes.fromhex(each)) for each in accepted(encode(deed.action), performed(story, deed))}
    assert isinstance(deed.action, Close)
    assert changed == {replace(deed.action, lost=True)}
