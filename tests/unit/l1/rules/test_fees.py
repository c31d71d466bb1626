"""What asking costs, who pays, and who may change it."""

from typing import Any

import pytest
from msgspec.structs import replace

from l1.ground.codec import encode
from l1.ground.faults import Fault, Refused
from l1.ground.limits import TRANSACTION_BYTES_MAX
from l1.ground.signing import Context, PrivateKey, Purpose, sign
from l1.rules import fees
from l1.rules.blocks import execute, select
from l1.rules.evidence import TwoWords
from l1.rules.fees import allowance_of, fee_of
from l1.rules.outcomes import failed_item, open_item
from l1.rules.state import PARAMETERS_KEY
from l1.rules.touched import touched_by
from l1.rules.transactions import (
    CHANNEL,
    RECOVERY,
    ROOT,
    Action,
    Report,
    RevokeKey,
    SetParameters,
    Transfer,
    account_of,
)
from tests.unit.l1.rules.world import World, key_named, refuses

FEE, PER_KIB = 3, 2


def change(world: World, *, signers: tuple[PrivateKey, ...] | None = None, **changes: Any) -> SetParameters:
    """What the registrars (or `signers`) agree to: the next change, with fees."""
    before = world.draft.get_parameters()
    wanted = replace(before, **({"fee": FEE, "fee_per_kib": PER_KIB, "serial": before.serial + 1} | changes))
    context, body = Context(chain=world.chain), encode(wanted)
    keys = (world.registrar,) if signers is None else signers
    approvals = tuple((key.public_key, sign(key, Purpose.PARAMETERS, context, body)) for key in keys)
    return SetParameters(parameters=wanted, approvals=approvals)


@pytest.fixture
def costly(world: World) -> World:
    """A chain with fees, and a channel."""
    world.with_channel()
    world.do(world.registrar, change(world))
    return world


def nothing_proved(world: World) -> Action:
    channel = next(key[8:] for key in world.rows if key.startswith(b"channel/"))
    words = world.says(channel, 0, 3)
    return Report(channel=channel, evidence=TwoWords(first=words, second=words))


def treasure(world: World) -> int:
    return world.draft.get_account(bytes(20)).credits


def test_a_fee_has_a_flat_part_and_one_for_every_kib_begun(world: World) -> None:
    parameters = replace(world.draft.get_parameters(), fee=FEE, fee_per_kib=PER_KIB)
    assert [fee_of(parameters, size) for size in (1, 1_024, 1_025)] == [5, 5, 7]
    assert fee_of(world.draft.get_parameters(), 5_000) == 0


def test_a_root_key_pays_out_of_its_hospitals_account(costly: World) -> None:
    before, held = costly.credits(costly.a), treasure(costly)
    costly.do(costly.a.root, Transfer(to=costly.b.id, amount=10))
    assert costly.credits(costly.a) == before - 10 - FEE - PER_KIB
    assert treasure(costly) == held + FEE + PER_KIB


def test_who_cannot_pay_is_not_heard(costly: World) -> None:
    stranger = key_named("stranger")
    costly.do(costly.registrar, Transfer(to=account_of(stranger.public_key), amount=1))
    with refuses(Fault.TOO_FEW_CREDITS):
        costly.do(stranger, nothing_proved(costly))


# -- who pays for a hospital's hot keys


def ask(world: World, key: PrivateKey) -> int:
    """Something that fails and costs its fee, asked by that key; the fee. Raises `Refused` if nobody pays."""
    data = world.sign(key, nothing_proved(world))
    world.block(failed_item(data, Fault.EVIDENCE_PROVES_NOTHING))
    return fee_of(world.draft.get_parameters(), len(data))


def test_a_channel_key_without_a_purse_asks_at_its_hospitals_expense(costly: World) -> None:
    before, held = costly.credits(costly.a), treasure(costly)
    fee = ask(costly, costly.a.channel)
    assert (costly.credits(costly.a), treasure(costly)) == (before - fee, held + fee)


def test_what_the_key_owns_goes_first(costly: World) -> None:
    purse = account_of(costly.a.channel.public_key)
    costly.do(costly.registrar, Transfer(to=purse, amount=8))
    before = costly.credits(costly.a)
    assert ask(costly, costly.a.channel) == 5
    assert (costly.credits(costly.a), costly.draft.get_account(purse).credits) == (before, 3)
    assert ask(costly, costly.a.channel) == 5, "three are too few, and stay"
    assert (costly.credits(costly.a), costly.draft.get_account(purse).credits) == (before - 5, 3)


def test_an_allowance_is_one_keys_for_one_key_window(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fees, "FEES_LENT", 3)
    world.with_channel()
    world.do(world.a.root, world.new_key(world.a, CHANNEL, "alice channel 2"))
    second = max(world.a.keys)
    world.do(world.registrar, change(world, fee=30, fee_per_kib=0))
    window_ms = world.genesis.parameters.key_window_ms
    world.wait(window_ms - world.tip.clock_ms % window_ms)
    for _ in range(3):
        assert ask(world, world.a.channel) == 30
    with refuses(Fault.TOO_FEW_CREDITS):
        ask(world, world.a.channel)
    ask(world, world.a.keys[second])
    ask(world, world.a.root)
    world.wait(window_ms)
    ask(world, world.a.channel)


def test_no_more_is_lent_than_the_hospital_has(costly: World) -> None:
    fee = FEE + PER_KIB
    costly.do(costly.a.root, Transfer(to=costly.b.id, amount=costly.credits(costly.a) - fee - 1))
    with refuses(Fault.TOO_FEW_CREDITS):
        ask(costly, costly.a.channel)


def test_a_revoked_key_is_lent_nothing_and_an_expired_one_still_is(costly: World) -> None:
    until_ms = costly.tip.clock_ms + 1_000
    costly.do(costly.a.root, costly.new_key(costly.a, CHANNEL, "short", until_ms=until_ms))
    expired = max(costly.a.keys)
    costly.wait(2_000)
    ask(costly, costly.a.keys[expired])
    costly.do(costly.a.root, RevokeKey(hospital=costly.a.id, number=1, compromised_since_ms=None))
    with refuses(Fault.TOO_FEW_CREDITS):
        ask(costly, costly.a.channel)


def test_a_recovery_key_needs_no_purse_for_its_veto(costly: World) -> None:
    costly.do(costly.a.root, costly.new_key(costly.a, RECOVERY, "alice recovery"))
    recovery = max(costly.a.keys)
    costly.wait(costly.genesis.parameters.key_window_ms)
    costly.do(costly.a.root, costly.new_key(costly.a, ROOT, "mallory root"))
    veto = RevokeKey(hospital=costly.a.id, number=max(costly.a.keys), compromised_since_ms=None)
    before = costly.credits(costly.a)
    costly.do(costly.a.keys[recovery], veto)
    assert costly.credits(costly.a) == before - FEE - PER_KIB


def test_an_allowance_pays_for_one_of_the_greatest_transactions(world: World) -> None:
    for fee, per_kib in ((0, 1), (1, 0), (7, 3)):
        parameters = replace(world.draft.get_parameters(), fee=fee, fee_per_kib=per_kib)
        assert fee_of(parameters, TRANSACTION_BYTES_MAX) <= allowance_of(parameters)


def test_evidence_that_proves_nothing_costs_its_sender_and_changes_nothing_else(costly: World) -> None:
    data = costly.sign(costly.b.root, nothing_proved(costly))
    [item], refused = select(costly, costly.tip, [data], costly.tip.time_ms)
    assert refused == []
    assert open_item(item) == (data, Fault.EVIDENCE_PROVES_NOTHING)
    before, paid = dict(costly.rows), costly.credits(costly.b)
    costly.block(item)
    fee = fee_of(costly.draft.get_parameters(), len(data))
    assert costly.credits(costly.b) == paid - fee
    changed = {key.partition(b"/")[0] for key, row in costly.rows.items() if before.get(key) != row}
    assert changed == {b"account"}
    assert touched_by([item], costly.chain).channels == set()
    with refuses(Fault.BAD_NONCE):
        costly.block(data)


@pytest.mark.parametrize("fault", [None, Fault.BAD_PROOF, 9_999])
def test_a_block_that_lies_about_an_outcome_is_refused(costly: World, fault: Any) -> None:
    data = costly.sign(costly.b.root, nothing_proved(costly))
    item = data if fault is None else failed_item(data, fault)
    with pytest.raises(Refused) as caught:
        execute(costly, costly.nodes.__getitem__, costly.tip, [item], time_ms=costly.tip.time_ms)
    assert caught.value.fault is (Fault.MALFORMED if fault == 9_999 else Fault.BAD_BLOCK)


def test_what_is_cheap_to_refuse_is_refused_for_nothing(costly: World) -> None:
    data = costly.sign(costly.b.root, Transfer(to=costly.a.id, amount=10**9))
    accepted, [(_, why)] = select(costly, costly.tip, [data], costly.tip.time_ms)
    assert (accepted, why.fault) == ([], Fault.TOO_FEW_CREDITS)


def test_without_fees_nothing_that_fails_stands_in_a_block(world: World) -> None:
    world.with_channel()
    accepted, [(_, why)] = select(
        world, world.tip, [world.sign(world.b.root, nothing_proved(world))], world.tip.time_ms
    )
    assert (accepted, why.fault) == ([], Fault.EVIDENCE_PROVES_NOTHING)


def test_more_than_half_of_the_registrars_agree_once_and_in_order(world: World) -> None:
    world.admit(world.a)
    for signers, fault in (
        ((world.a.root,), Fault.NOT_AUTHORISED),
        ((world.registrar, world.registrar), Fault.MALFORMED),
    ):
        with refuses(fault):
            world.do(world.a.root, change(world, signers=signers))
    action = change(world, treasury=world.a.id)
    with refuses(Fault.BAD_SIGNATURE):
        world.do(world.registrar, replace(action, parameters=replace(action.parameters, fee=9)))
    world.do(world.a.root, action)
    with refuses(Fault.GOES_BACK):
        world.do(world.a.root, action)
    before = world.credits(world.a)
    world.do(world.registrar, Transfer(to=account_of(key_named("x").public_key), amount=1))
    assert world.credits(world.a) == before + FEE + PER_KIB


@pytest.mark.parametrize("name", ["heartbeat_ms", "block_ms", "key_window_ms"])
def test_what_readers_know_from_the_genesis_stays(world: World, name: str) -> None:
    with refuses(Fault.OUT_OF_BOUNDS):
        world.do(world.registrar, change(world, **dict[str, Any]({name: 7_777})))
    with refuses(Fault.OUT_OF_BOUNDS):
        world.do(world.registrar, change(world, window_ms_min=9, window_ms_max=8))


def test_a_damaged_row_of_parameters_is_ours(world: World) -> None:
    world.rows[PARAMETERS_KEY] = b"\xc1"
    with pytest.raises(AssertionError):
        world.do(world.registrar, Transfer(to=bytes(20), amount=1))
