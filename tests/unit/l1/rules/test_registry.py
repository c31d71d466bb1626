import pytest
from msgspec.structs import replace

from l1.ground.faults import Fault
from l1.ground.limits import TIME_MS_MAX
from l1.rules.keys import counting_keys, key_counts, sealing_key_at
from l1.rules.transactions import CHANNEL, RECOVERY, ROOT, SEALING, TLS, RegisterKey, RevokeKey
from tests.unit.l1.rules.world import KEY_WINDOW_MS, World, admission, key_named, party, refuses


def _revoke(world: World, number: int) -> RevokeKey:
    return RevokeKey(hospital=world.a.id, number=number, compromised_since_ms=None)


@pytest.fixture
def admitted(world: World) -> World:
    world.admit(world.a, 0)
    return world


@pytest.fixture
def guarded(admitted: World) -> World:
    """Alice has a recovery key, number 4, that counts."""
    admitted.do(admitted.a.root, admitted.new_key(admitted.a, RECOVERY, "alice recovery"))
    admitted.wait(KEY_WINDOW_MS)
    return admitted


def _roots(world: World) -> list[int]:
    return [key.number for key in counting_keys(world.hospital(world.a), ROOT, world.tip.clock_ms)]


def test_admission_numbers_the_first_four_keys(admitted: World) -> None:
    hospital = admitted.hospital(admitted.a)
    assert [key.kind for key in hospital.keys] == [ROOT, CHANNEL, TLS, SEALING]
    assert [key.number for key in hospital.keys] == [0, 1, 2, 3]
    assert all(key_counts(hospital, n, hospital.keys[n].kind, admitted.tip.clock_ms) for n in range(4))
    assert not key_counts(hospital, 0, CHANNEL, admitted.tip.clock_ms)
    assert not key_counts(hospital, 9, CHANNEL, admitted.tip.clock_ms)


def test_only_a_registrar_admits(admitted: World) -> None:
    with refuses(Fault.NOT_AUTHORISED):
        admitted.do(admitted.a.root, admission(admitted.b, chain=admitted.chain))


def test_a_hospital_is_admitted_once(admitted: World) -> None:
    with refuses(Fault.ALREADY_DONE):
        admitted.do(admitted.registrar, admission(admitted.a, chain=admitted.chain))


def test_admission_needs_the_root_keys_own_words(world: World) -> None:
    with refuses(Fault.BAD_SIGNATURE):
        world.do(world.registrar, admission(world.a, key_named("mallory"), world.chain))
    changed = replace(admission(world.a, chain=world.chain), endpoint="mallory.example:1")
    with refuses(Fault.BAD_SIGNATURE):
        world.do(world.registrar, changed)


def test_nobody_is_admitted_with_anothers_channel_key(admitted: World) -> None:
    mallory = party("mallory")
    mallory.keys[1] = admitted.a.channel
    with refuses(Fault.ALREADY_DONE):
        admitted.do(admitted.registrar, admission(mallory, chain=admitted.chain))


def test_root_and_channel_key_are_two(world: World) -> None:
    world.a.keys[1] = world.a.root
    with refuses(Fault.ALREADY_DONE):
        world.do(world.registrar, admission(world.a, chain=world.chain))


def test_a_rotated_channel_key_counts_beside_the_old_one(admitted: World) -> None:
    admitted.do(admitted.a.root, admitted.new_key(admitted.a, CHANNEL, "alice channel 2"))
    hospital = admitted.hospital(admitted.a)
    assert [key.number for key in counting_keys(hospital, CHANNEL, admitted.tip.clock_ms)] == [1, 4]


def test_a_key_ends_when_it_says(admitted: World) -> None:
    until_ms = admitted.tip.clock_ms + 20_000
    admitted.do(admitted.a.root, admitted.new_key(admitted.a, CHANNEL, "short", until_ms=until_ms))
    hospital = admitted.hospital(admitted.a)
    assert key_counts(hospital, 4, CHANNEL, until_ms - 1)
    assert not key_counts(hospital, 4, CHANNEL, until_ms)


def test_a_key_cannot_end_before_it_begins(admitted: World) -> None:
    with refuses(Fault.OUT_OF_BOUNDS):
        admitted.do(admitted.a.root, admitted.new_key(admitted.a, CHANNEL, "late", until_ms=admitted.tip.clock_ms))


def test_a_new_key_is_not_valid_in_the_past(admitted: World) -> None:
    admitted.do(admitted.a.root, admitted.new_key(admitted.a, CHANNEL, "backdated", from_ms=1))
    assert admitted.hospital(admitted.a).keys[4].valid_from_ms == admitted.tip.clock_ms


def test_only_the_root_key_registers(admitted: World) -> None:
    action = admitted.new_key(admitted.a, CHANNEL, "alice channel 2")
    with refuses(Fault.NOT_AUTHORISED):
        admitted.do(admitted.a.channel, action)
    admitted.admit(admitted.b, 0)
    with refuses(Fault.NOT_AUTHORISED):
        admitted.do(admitted.b.root, action)
    with refuses(Fault.UNKNOWN_HOSPITAL):
        admitted.do(admitted.a.root, replace(action, hospital=bytes(20)))


def test_a_signing_key_shows_that_it_is_held(admitted: World) -> None:
    action = admitted.new_key(admitted.a, CHANNEL, "alice channel 2")
    for possession in (None, bytes(64)):
        with refuses(Fault.BAD_SIGNATURE):
            admitted.do(admitted.a.root, replace(action, possession=possession))


def test_tls_and_sealing_keys_are_32_bytes_and_sign_nothing(admitted: World) -> None:
    action = RegisterKey(
        hospital=admitted.a.id, kind=TLS, key=bytes(32), valid_from_ms=0, valid_until_ms=TIME_MS_MAX, possession=None
    )
    admitted.do(admitted.a.root, action)
    with refuses(Fault.ALREADY_DONE):
        admitted.do(admitted.a.root, action)
    admitted.do(admitted.a.root, replace(action, kind=SEALING))
    with refuses(Fault.BAD_KEY):
        admitted.do(admitted.a.root, replace(action, key=bytes(33)))
    with refuses(Fault.MALFORMED):
        admitted.do(admitted.a.root, replace(action, possession=bytes(64)))


def test_a_new_root_key_waits_and_the_recovery_key_vetoes_it(guarded: World) -> None:
    world = guarded
    world.do(world.a.root, world.new_key(world.a, ROOT, "thief's root"))
    assert _roots(world) == [0]
    world.do(world.a.keys[4], _revoke(world, 5))
    world.wait(KEY_WINDOW_MS)
    assert _roots(world) == [0]


def test_the_recovery_key_ends_nothing_else(guarded: World) -> None:
    for number in (0, 1, 2):
        with refuses(Fault.NOT_AUTHORISED):
            guarded.do(guarded.a.keys[4], _revoke(guarded, number))


def test_the_recovery_key_registers_nothing_but_a_root_key(guarded: World) -> None:
    for kind in (CHANNEL, RECOVERY):
        action = guarded.new_key(guarded.a, kind, f"by recovery {kind}")
        with refuses(Fault.NOT_AUTHORISED):
            guarded.do(guarded.a.keys[4], action)


def test_a_thief_of_the_root_key_cannot_replace_the_recovery_key(guarded: World) -> None:
    world = guarded
    with refuses(Fault.NOT_AUTHORISED):
        world.do(world.a.root, _revoke(world, 4))
    world.do(world.a.root, world.new_key(world.a, RECOVERY, "thief's recovery"))
    assert not key_counts(world.hospital(world.a), 5, RECOVERY, world.tip.clock_ms)
    with refuses(Fault.NOT_AUTHORISED):
        world.do(world.a.root, _revoke(world, 5))
    world.do(world.a.keys[4], _revoke(world, 5))
    world.wait(KEY_WINDOW_MS)
    assert not key_counts(world.hospital(world.a), 5, RECOVERY, world.tip.clock_ms)


def test_the_first_recovery_key_waits_too_and_a_root_key_vetoes_it(admitted: World) -> None:
    world = admitted
    world.do(world.a.root, world.new_key(world.a, RECOVERY, "thief's recovery"))
    assert not key_counts(world.hospital(world.a), 4, RECOVERY, world.tip.clock_ms)
    world.do(world.a.root, _revoke(world, 4))
    world.wait(KEY_WINDOW_MS)
    assert not key_counts(world.hospital(world.a), 4, RECOVERY, world.tip.clock_ms)


def test_a_root_key_that_the_recovery_key_brings_ends_every_earlier_one_after_a_window(guarded: World) -> None:
    world = guarded
    world.do(world.a.root, world.new_key(world.a, ROOT, "thief's root"))
    world.do(world.a.keys[4], world.new_key(world.a, ROOT, "alice root 2"))
    assert world.hospital(world.a).keys[6].by == 4
    assert _roots(world) == [0]
    world.wait(KEY_WINDOW_MS)
    assert _roots(world) == [6]
    for old in (0, 5):
        with refuses(Fault.NOT_AUTHORISED):
            world.do(world.a.keys[old], world.new_key(world.a, CHANNEL, f"too late {old}"))


def test_root_keys_can_neither_cancel_a_recovery_nor_bring_keys_that_outlast_it(guarded: World) -> None:
    world = guarded
    world.do(world.a.keys[4], world.new_key(world.a, ROOT, "alice root 2"))
    with refuses(Fault.NOT_AUTHORISED):
        world.do(world.a.root, _revoke(world, 5))
    for kind in (ROOT, RECOVERY):
        action = world.new_key(world.a, kind, f"thief's {kind}")
        with refuses(Fault.NOT_AUTHORISED):
            world.do(world.a.root, action)
    world.do(world.a.root, world.new_key(world.a, CHANNEL, "channels go on"))


def test_a_recovery_that_was_vetoed_ends_nothing(guarded: World) -> None:
    world = guarded
    world.do(world.a.keys[4], world.new_key(world.a, ROOT, "alice root 2"))
    world.do(world.a.keys[4], _revoke(world, 5))
    world.wait(KEY_WINDOW_MS)
    assert _roots(world) == [0]


def test_what_a_recovered_root_key_ended_never_comes_back(guarded: World) -> None:
    world = guarded
    world.do(world.a.keys[4], world.new_key(world.a, ROOT, "alice root 2"))
    world.wait(KEY_WINDOW_MS)
    world.do(world.a.keys[5], world.new_key(world.a, ROOT, "alice root 3"))
    world.wait(KEY_WINDOW_MS)
    world.do(world.a.keys[max(world.a.keys)], _revoke(world, 5))
    assert _roots(world) == [6]


def test_an_older_root_key_cannot_end_a_later_one_that_counts(admitted: World) -> None:
    world = admitted
    world.do(world.a.root, world.new_key(world.a, ROOT, "alice root 2"))
    world.wait(KEY_WINDOW_MS)
    with refuses(Fault.NOT_AUTHORISED):
        world.do(world.a.root, _revoke(world, 4))
    world.do(world.a.keys[4], _revoke(world, 0))


def test_the_sealing_key_of_a_channel_is_the_newest_in_force_before_it_opened(admitted: World) -> None:
    first = admitted.hospital(admitted.a).keys[3]

    def at(at_ms: int, **changes: int) -> int:
        later = replace(first, number=4, key=bytes(32), **{"valid_from_ms": 500, "valid_until_ms": 900} | changes)
        hospital = replace(admitted.hospital(admitted.a), keys=(*admitted.hospital(admitted.a).keys, later))
        begun = replace(hospital.keys[3], valid_from_ms=100)
        return sealing_key_at(replace(hospital, keys=(*hospital.keys[:3], begun, later)), at_ms).number

    assert [at(ms) for ms in (50, 500, 501, 900, 901)] == [3, 3, 4, 4, 3]
    assert [at(600, revoked_at_ms=ms) for ms in (599, 600)] == [3, 4]


def test_the_last_root_key_stays(admitted: World) -> None:
    with refuses(Fault.NOT_AUTHORISED):
        admitted.do(admitted.a.root, _revoke(admitted, 0))


def test_a_revoked_key_stays_revoked_and_the_chain_stamps_it(admitted: World) -> None:
    admitted.do(admitted.a.root, _revoke(admitted, 1))
    key = admitted.hospital(admitted.a).keys[1]
    assert key.revoked_at_ms == admitted.tip.clock_ms
    with refuses(Fault.ALREADY_DONE):
        admitted.do(admitted.a.root, _revoke(admitted, 1))
    with refuses(Fault.UNKNOWN_KEY):
        admitted.do(admitted.a.root, _revoke(admitted, 99))
    with refuses(Fault.UNKNOWN_HOSPITAL):
        admitted.do(admitted.a.root, replace(_revoke(admitted, 1), hospital=bytes(20)))
