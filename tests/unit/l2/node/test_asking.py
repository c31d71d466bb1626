"""By which key a hospital asks the chain where asking costs."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from msgspec.structs import replace

from l1.ground.faults import Fault, Refused
from l1.ground.limits import FEES_LENT
from l1.rules import fees
from l1.rules.state import Phase
from l1.rules.transactions import SetParameters, Settle, account_of
from l2.node.hospital import Hospital
from tests.idle import all_idle
from tests.unit.l1.world import REGISTRAR
from tests.unit.l2.tower.town import Town, in_town


async def hospital_in(town: Town) -> Hospital:
    """Alice's node: it holds her channel key and her root key."""
    nothing = cast(Any, None)
    keys = SimpleNamespace(closing_signer=lambda _: (1, town.a.channel), signer=lambda *_: (0, town.a.root))
    found = Hospital(
        id=town.a.id, name="alice", folder=nothing, config=nothing, keys=cast(Any, keys), reader=town.reader(),
        store=nothing, bodies=nothing, started_ms=0,
    )  # fmt: skip
    await found.learn(town.a.id)
    return found


async def costs(town: Town, fee: int) -> None:
    now = await town.reader().parameters()
    wanted = replace(now, fee=fee, serial=now.serial + 1)
    approvals = (fees.approve(REGISTRAR, town.chain.id, wanted),)
    await town.do(REGISTRAR, SetParameters(parameters=wanted, approvals=approvals))


@pytest.mark.parametrize("lent", [FEES_LENT, 0])
async def test_who_is_lent_no_more_asks_by_the_root_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lent: int
) -> None:
    monkeypatch.setattr(fees, "FEES_LENT", lent)
    async with in_town(tmp_path) as town:
        [channel] = await town.open()
        await costs(town, 5)
        alice = await hospital_in(town)
        before = await alice.reader.nonce(account_of(town.a.root.public_key))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alice.ask_chain, town.close(channel))
            await all_idle()
            await town.wait(1)
        row = await alice.reader.channel(channel)
        assert row is not None
        assert row.phase == Phase.CLOSING
        after = await alice.reader.nonce(account_of(town.a.root.public_key))
        assert after - before == (0 if lent else 1)


async def test_any_other_refusal_is_told(tmp_path: Path) -> None:
    async with in_town(tmp_path) as town:
        [channel] = await town.open()
        alice = await hospital_in(town)
        with pytest.raises(Refused) as caught:
            await alice.ask_chain(Settle(channel=channel))
        assert caught.value.fault is Fault.WINDOW_OPEN
