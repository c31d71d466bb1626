from l1.ground.faults import Fault
from l1.rules.transactions import ROOT, RevokeKey, Transfer, account_of, sign_transaction
from tests.unit.l1.rules.world import KEY_WINDOW_MS, TOTAL, World, key_named, refuses


def test_a_transfer_moves_credits_and_nothing_else(world: World) -> None:
    world.do(world.registrar, Transfer(to=world.a.id, amount=70))
    assert world.credits(world.a) == 70
    assert world.draft.get_account(account_of(world.registrar.public_key)).credits == TOTAL - 70


def test_a_nonce_counts_once_and_in_order(world: World) -> None:
    again = world.sign(world.registrar, Transfer(to=world.a.id, amount=1))
    world.block(again)
    with refuses(Fault.BAD_NONCE):
        world.block(again)
    with refuses(Fault.BAD_NONCE):
        world.block(sign_transaction(world.registrar, world.chain, 5, Transfer(to=world.a.id, amount=1)))


def test_nobody_spends_more_than_he_has(world: World) -> None:
    world.do(world.registrar, Transfer(to=world.a.id, amount=70))
    with refuses(Fault.TOO_FEW_CREDITS):
        world.do(world.a.root, Transfer(to=world.b.id, amount=71))
    with refuses(Fault.OUT_OF_BOUNDS):
        world.do(world.a.root, Transfer(to=world.b.id, amount=0))


def test_a_transfer_to_oneself_changes_nothing(world: World) -> None:
    own = account_of(world.registrar.public_key)
    world.do(world.registrar, Transfer(to=own, amount=TOTAL))
    assert world.draft.get_account(own).credits == TOTAL


def test_a_key_that_the_chain_does_not_know_may_not_ask(world: World) -> None:
    with refuses(Fault.UNKNOWN_ACCOUNT):
        world.do(key_named("stranger"), Transfer(to=world.a.id, amount=1))


def test_words_for_another_chain_say_nothing_here(world: World) -> None:
    with refuses(Fault.WRONG_CHAIN):
        world.block(sign_transaction(world.registrar, bytes(32), 0, Transfer(to=world.a.id, amount=1)))


def test_a_changed_transaction_is_not_its_keys_own(world: World) -> None:
    data = bytearray(world.sign(world.registrar, Transfer(to=world.a.id, amount=1)))
    data[-1] ^= 1
    with refuses(Fault.BAD_SIGNATURE):
        world.block(bytes(data))


def test_a_later_root_key_spends_the_hospitals_account_and_a_revoked_one_does_not(world: World) -> None:
    world.admit(world.a, 100)
    world.do(world.a.root, world.new_key(world.a, ROOT, "alice root 2"))
    later = world.a.keys[4]
    with refuses(Fault.NOT_AUTHORISED):
        world.do(later, Transfer(to=world.b.id, amount=1))
    world.wait(KEY_WINDOW_MS)
    world.do(later, Transfer(to=world.b.id, amount=1))
    assert world.credits(world.a) == 99
    world.do(world.registrar, Transfer(to=account_of(later.public_key), amount=11))
    assert world.credits(world.a) == 110, "what is sent to a later root key arrives where it can be spent"
    world.do(later, RevokeKey(hospital=world.a.id, number=0, compromised_since_ms=None))
    with refuses(Fault.NOT_AUTHORISED):
        world.do(world.a.root, Transfer(to=world.b.id, amount=1))


def test_a_channel_key_spends_only_its_own_account(world: World) -> None:
    world.admit(world.a, 100)
    with refuses(Fault.TOO_FEW_CREDITS):
        world.do(world.a.channel, Transfer(to=world.b.id, amount=1))
