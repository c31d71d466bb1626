"""The line is cut after message 0, 1, 2, … of whole stories, until one runs unhurt; each time all comes right again."""

from collections.abc import Callable

import pytest

from l1.rules.log.entries import Pay, Receipt, Release, Withdraw
from l2.protocol.events import AskClose, Froze, MessageReceived, Submit
from l2.protocol.phases import Phase
from tests.unit.l2.protocol.stories import (
    CONSENTED,
    SECRET,
    access,
    access_terms,
    grant,
    grant_terms,
    request,
    request_terms,
)
from tests.unit.l2.protocol.world import NOW_MS, Pair

GRANT = 2  # after the consent and a `seen`

Hurt = Callable[[Pair], None]


class Interrupted(Exception):  # noqa: N818 - it is an event of the story
    pass


class FragilePair(Pair):
    """A pair whose line is cut once, after so many messages."""

    def __init__(self, after: int) -> None:
        self.left: int | None = None
        super().__init__()
        self.left = after

    def deliver(self, side: int, count: int | None = None) -> None:
        while self.inboxes[side] and count != 0:
            if self.left == 0:
                raise Interrupted
            self.left = None if self.left is None else self.left - 1
            send = self.inboxes[side].pop(0)
            self.do(side, MessageReceived(send.type, send.payload))
            count = None if count is None else count - 1


def entries(pair: Pair) -> None:
    """Consent, grant with a fee, payment, receipt, release, accesses, a withdrawal."""
    pair.append(0, [CONSENTED[0]], [CONSENTED[1]])
    pair.settle()
    pair.append(0, [grant(1, fee=7)], [grant_terms()])
    pair.append(1, [request(1)], [request_terms()])
    pair.settle()
    pair.append(1, [Pay(time=NOW_MS + 2, amount=7, grant=GRANT), Receipt(time=NOW_MS + 2, grant=GRANT)])
    pair.settle()
    pair.append(0, [Release(time=NOW_MS + 3, grant=GRANT, secret=SECRET)])
    pair.append(1, [access(GRANT, 4)] * 2, [access_terms()] * 2)
    pair.settle()
    pair.append(0, [Withdraw(time=NOW_MS + 5, consent=0)])
    pair.append(1, [access(GRANT, 6)] * 2, [access_terms()] * 2)
    pair.settle()


def close(pair: Pair) -> None:
    pair.append(0, [CONSENTED[0]], [CONSENTED[1]])
    pair.append(1, [request(1)], [request_terms()])
    pair.do(0, AskClose(alone=False, lost=False))
    pair.settle()


def close_both(pair: Pair) -> None:
    pair.append(0, [CONSENTED[0]], [CONSENTED[1]])
    pair.do(0, AskClose(alone=False, lost=False))
    pair.append(1, [request(1)], [request_terms()])
    pair.do(1, AskClose(alone=False, lost=False))
    pair.settle()


def close_empty(pair: Pair) -> None:
    pair.do(0, AskClose(alone=False, lost=False))
    pair.do(1, AskClose(alone=False, lost=False))
    pair.settle()


def nothing(pair: Pair) -> None:
    pair.cut()


def restart_first(pair: Pair) -> None:
    pair.crash(0)


def restart_second(pair: Pair) -> None:
    pair.crash(1)


def restart_both(pair: Pair) -> None:
    pair.crash(0)
    pair.crash(1)


def forget(side: int) -> Hurt:
    """The disk of a side is as it was in the beginning."""

    def hurt(pair: Pair) -> None:
        pair.crash(side, Pair().stores[side])

    return hurt


HURTS = {
    "line": nothing,
    "first restarts": restart_first,
    "second restarts": restart_second,
    "both restart": restart_both,
    "first forgets": forget(0),
    "second forgets": forget(1),
}
STORIES = {"entries": entries, "close": close, "close both": close_both, "close empty": close_empty}


@pytest.mark.parametrize("hurt", HURTS)
@pytest.mark.parametrize("story", STORIES)
def test_a_cut_after_every_message(story: str, hurt: str) -> None:
    for after in range(200):
        pair = FragilePair(after)
        try:
            STORIES[story](pair)
        except Interrupted:
            pair.left = None
            HURTS[hurt](pair)
            pair.calm()
            check(pair, f"{story}, {hurt} after {after}")
        else:
            assert after > 3
            return
    raise AssertionError("the story never ran unhurt")


def check(pair: Pair, where: str) -> None:
    for side in (0, 1):
        faults = [effect for effect in pair.effects[side] if isinstance(effect, Froze)]
        assert not faults, (where, side, faults)
    pair.check()
    phases = {channel.phase for channel in pair.channels}
    assert len(phases) == 1, (where, phases)
    if phases == {Phase.CLOSING}:
        for side in (0, 1):
            assert any(isinstance(effect, Submit) for effect in pair.effects[side]), where
    else:
        assert phases == {Phase.OPEN}, where
        assert all(channel.resumed and not channel.under_way for channel in pair.channels), where


@pytest.mark.parametrize("hurt", HURTS)
def test_a_cut_in_every_message_of_coming_back(hurt: str) -> None:
    """And again while what the first cut did is being put right."""
    for first in range(1, 12, 3):
        for second in range(40):
            pair = FragilePair(first)
            with pytest.raises(Interrupted):
                entries(pair)
            HURTS[hurt](pair)
            pair.left = second
            try:
                pair.calm()
            except Interrupted:
                pair.left = None
                HURTS[hurt](pair)
                pair.calm()
                check(pair, f"{hurt} after {first} and {second}")
            else:
                check(pair, f"{hurt} after {first}")
                break
        else:
            raise AssertionError("it never came back unhurt")
