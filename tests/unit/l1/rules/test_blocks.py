import pytest
from msgspec.structs import replace

from l1.ground.codec import encode
from l1.ground.faults import Fault, Refused
from l1.ground.limits import BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX, CREDITS_MAX
from l1.ground.sparse import place_of, prove
from l1.rules.blocks import (
    Block,
    begin,
    check_follows,
    decode_block,
    execute,
    genesis_state,
    open_header,
    select,
    sign_header,
    transactions_root,
)
from l1.rules.genesis import Allocation, Parameters
from l1.rules.invariants import check_conserved
from l1.rules.state import Account, account_key, hospital_key, verify_row
from l1.rules.transactions import Transfer, account_of, sign_transaction
from tests.unit.l1.rules.world import TOTAL, World, key_named, refuses


def _transfers(world: World, count: int, amount: int = 1) -> list[bytes]:
    first = world.nonce(world.registrar)
    action = Transfer(to=world.a.id, amount=amount)
    return [sign_transaction(world.registrar, world.chain, first + n, action) for n in range(count)]


def test_two_executions_give_one_header_and_one_state(world: World) -> None:
    transactions = _transfers(world, 3)
    one, two = (
        execute(world, world.nodes.__getitem__, world.tip, transactions, time_ms=world.tip.time_ms + 50)
        for _ in range(2)
    )
    assert one == two
    assert one.header.transactions == transactions_root(transactions)


def test_one_bad_transaction_refuses_the_block(world: World) -> None:
    transactions = [*_transfers(world, 2), b"\x92"]
    with refuses(Fault.MALFORMED):
        execute(world, world.nodes.__getitem__, world.tip, transactions, time_ms=world.tip.time_ms)


def test_select_sorts_the_good_from_the_refused_and_keeps_their_order(world: World) -> None:
    first, second, third = _transfers(world, 3)
    accepted, refused = select(world, world.tip, [first, third, second, first], world.tip.time_ms)
    assert accepted == [first, second]
    assert [(data, why.fault) for data, why in refused] == [(third, Fault.BAD_NONCE), (first, Fault.BAD_NONCE)]
    execute(world, world.nodes.__getitem__, world.tip, accepted, time_ms=world.tip.time_ms)


def test_a_refusal_leaves_no_trace_on_the_draft(world: World) -> None:
    poor, modest = _transfers(world, 1, TOTAL + 1), _transfers(world, 1)
    accepted, refused = select(world, world.tip, [*poor, *modest], world.tip.time_ms)
    assert accepted == modest, "the refused transaction has not used up its nonce"
    assert [why.fault for _, why in refused] == [Fault.TOO_FEW_CREDITS]


def test_select_leaves_waiting_what_has_no_room(world: World) -> None:
    refusable = [bytes(250_000)] * 20
    accepted, refused = select(world, world.tip, [*refusable, *_transfers(world, 1)], world.tip.time_ms)
    assert accepted == []
    assert len(refused) == 16


def test_a_full_block_decodes(world: World) -> None:
    signed = sign_header(key_named("authority"), world.tip)
    block = Block(header=signed, transactions=tuple(bytes(99_999) for _ in range(41)))
    assert len(encode(block)) <= BLOCK_BYTES_MAX
    assert decode_block(encode(block)) == block


def test_blocks_have_limits(world: World) -> None:
    with refuses(Fault.BAD_BLOCK):
        execute(world, world.nodes.__getitem__, world.tip, [b""] * (BLOCK_TRANSACTIONS_MAX + 1), time_ms=2**40)
    with refuses(Fault.TOO_LARGE):
        execute(world, world.nodes.__getitem__, world.tip, [bytes(BLOCK_BYTES_MAX)], time_ms=2**40)


def test_time_does_not_fall_and_the_chain_clock_takes_two_heartbeats_at_most(world: World) -> None:
    with refuses(Fault.CLOCK):
        world.block(after_ms=-1)
    start = world.tip.clock_ms
    world.block(after_ms=0)
    assert world.tip.clock_ms == start
    world.block(after_ms=86_400_000)
    assert world.tip.clock_ms == start + 2 * world.genesis.parameters.heartbeat_ms


def test_only_the_authoritys_own_header_opens(world: World) -> None:
    authority = key_named("authority")
    signed = sign_header(authority, world.tip)
    assert open_header(signed, world.chain, authority.public_key) == world.tip
    with refuses(Fault.BAD_SIGNATURE):
        open_header(sign_header(key_named("mallory"), world.tip), world.chain, authority.public_key)
    with refuses(Fault.BAD_SIGNATURE):
        open_header(signed, bytes(32), authority.public_key)
    for change, fault in (
        ({"version": 2}, Fault.WRONG_VERSION),
        ({"authority": key_named("mallory").public_key}, Fault.BAD_BLOCK),
    ):
        with refuses(fault):
            open_header(sign_header(authority, replace(world.tip, **change)), world.chain, authority.public_key)


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("chain", bytes(32), Fault.WRONG_CHAIN),
        ("authority", bytes(33), Fault.BAD_BLOCK),
        ("height", 5, Fault.BAD_BLOCK),
        ("parent", bytes(32), Fault.BAD_BLOCK),
        ("time_ms", 1, Fault.CLOCK),
        ("clock_ms", 2**40, Fault.CLOCK),
    ],
)
def test_a_header_follows_its_parent(world: World, field: str, value: object, fault: Fault) -> None:
    parent = world.tip
    world.block()
    check_follows(parent, world.tip, world.genesis.parameters)
    with refuses(fault):
        check_follows(parent, replace(world.tip, **{field: value}), world.genesis.parameters)


def test_every_row_is_proved_against_the_header(world: World) -> None:
    world.admit(world.a)
    key = hospital_key(world.a.id)
    proof = prove(world.nodes.__getitem__, world.tip.state, place_of(key))
    verify_row(world.tip.state, key, world.rows[key], proof)
    with pytest.raises(Refused):
        verify_row(world.tip.state, key, world.rows[key] + b"x", proof)
    with pytest.raises(Refused):
        verify_row(world.tip.state, key, None, proof)
    absent = hospital_key(world.b.id)
    verify_row(world.tip.state, absent, None, prove(world.nodes.__getitem__, world.tip.state, place_of(absent)))


def test_block_0_follows_from_the_genesis_alone(world: World) -> None:
    assert begin(world.genesis) == begin(world.genesis)
    rows = genesis_state(world.genesis)
    check_conserved(rows, TOTAL)
    assert account_key(account_of(world.registrar.public_key)) in rows


def test_a_genesis_that_cannot_be_is_refused(world: World) -> None:
    twice = (world.genesis.allocations[0],) * 2
    too_much = (*world.genesis.allocations, Allocation(account=bytes(20), credits=CREDITS_MAX))
    for change, fault in (
        ({"version": 9}, Fault.WRONG_VERSION),
        ({"authority": bytes(33)}, Fault.BAD_KEY),
        ({"registrars": (bytes(33),)}, Fault.BAD_KEY),
        ({"allocations": twice}, Fault.MALFORMED),
        ({"allocations": too_much}, Fault.OUT_OF_BOUNDS),
        ({"parameters": Parameters(heartbeat_ms=0)}, Fault.OUT_OF_BOUNDS),
        ({"parameters": Parameters(window_ms_min=9, window_ms_max=8)}, Fault.OUT_OF_BOUNDS),
        ({"parameters": Parameters(window_ms_max=2**43)}, Fault.OUT_OF_BOUNDS),
    ):
        with refuses(fault):
            genesis_state(replace(world.genesis, **change))


def test_the_invariant_notices_a_made_credit(world: World) -> None:
    rows = dict(world.rows)
    rows[account_key(bytes(20))] = encode(Account(credits=1))
    with pytest.raises(AssertionError):
        check_conserved(rows, TOTAL)


def test_a_damaged_row_is_our_failure_and_not_the_transactions(world: World) -> None:
    world.rows[account_key(account_of(world.registrar.public_key))] = b"\xc1"
    with pytest.raises(AssertionError):
        world.do(world.registrar, Transfer(to=world.a.id, amount=1))
