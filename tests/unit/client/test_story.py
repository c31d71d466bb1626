"""Whatever the journal can say is told in plain words, and every state has an advice."""

from typing import get_args

from client.story import ADVICE, MEANINGS, STANDS
from l2.desk import words
from l2.protocol.journal import Reason


def test_every_reason_has_a_meaning() -> None:
    assert set(MEANINGS) == {reason.name.lower() for reason in Reason}


def test_every_state_has_words_and_an_advice() -> None:
    assert set(get_args(words.ChannelState)) == set(ADVICE) == set(STANDS)
