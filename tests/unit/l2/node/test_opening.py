"""Whom a channel is opened with: by the id one row is asked for, by the name all are."""

from typing import cast

import pytest

from l1.ground.faults import LocalError
from l1.reader.client import Reader
from l1.rules.state import Hospital
from l2.node.opening import find_peer


def hospital(number: int, name: str) -> Hospital:
    return Hospital(id=bytes([number]) * 20, name=name, endpoint="x:1", keys=())


class Chain:
    """Two of one name, and one."""

    def __init__(self) -> None:
        self.all = [hospital(1, "Harbor"), hospital(2, "Harbor"), hospital(3, "Lake")]
        self.lists = 0

    async def hospital(self, wanted: bytes) -> Hospital | None:
        return next((one for one in self.all if one.id == wanted), None)

    async def hospitals(self) -> list[Hospital]:
        self.lists += 1
        return self.all


async def test_a_peer_is_found_by_id_without_reading_all_others() -> None:
    chain = Chain()
    for number in (1, 2, 3):
        assert (await find_peer(cast(Reader, chain), f"{number:02x}" * 20)).id == bytes([number]) * 20
    assert chain.lists == 0
    assert (await find_peer(cast(Reader, chain), "Lake")).id == bytes([3]) * 20


@pytest.mark.parametrize("wanted", ["Harbor", "04" * 20, "0G" * 20, "01" * 19, "", "LAKE"])
async def test_who_is_not_found_or_not_told_apart_is_named_by_his_id(wanted: str) -> None:
    with pytest.raises(LocalError, match="the chain knows"):
        await find_peer(cast(Reader, Chain()), wanted)
