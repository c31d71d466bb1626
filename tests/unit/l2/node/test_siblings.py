"""Questions between workers: who is asked, what is not answered, and that alone there is nobody to ask."""

import pytest

from l1.ground.faults import Fault, LocalError, Refused
from l2.node.siblings import Siblings


async def test_alone_there_is_nobody_to_ask() -> None:
    assert await Siblings().ask_all("anything") == []
    with pytest.raises(Refused):
        await Siblings().ask(1, "anything")


async def test_all_others_are_asked_and_one_that_is_away_is_told() -> None:
    others = {number: Siblings() for number in (1, 2)}

    async def double(body: bytes) -> bytes:
        return body * 2

    for one in others.values():
        one.serve("double", double)
    first = Siblings({number: one.answer for number, one in others.items()})
    assert await first.ask_all("double", b"ab") == [b"abab", b"abab"]
    assert await first.ask(2, "double", b"c") == b"cc"
    with pytest.raises(Refused) as refused:
        await first.ask(1, "treble")
    assert refused.value.fault is Fault.UNEXPECTED

    async def away(_what: str, _body: bytes) -> bytes:
        raise LocalError("it is away")

    with pytest.raises(LocalError, match="it is away"):
        await Siblings({1: others[1].answer, 2: away}).ask_all("double", b"x")
