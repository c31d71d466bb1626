"""A thief has a key that the chain judges nothing by: TLS, sealing, record key, desk token, or the password alone.

Each story is a line of the table in docs/threat-model.md.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.hashing import digest
from l1.ground.sealed import Cost
from l1.ground.signing import PrivateKey
from l1.reader import dump_genesis
from l1.rules.transactions import CHANNEL, SEALING
from l2.link import Credentials, Station
from l2.node.bodies import Bodies
from l2.node.folder import Config, Folder, make_folder
from l2.node.keys import KEYRING, KeyStore, Terms, load_keyring, make_key, save_keyring
from l2.records.keys import channel_secret, exchange_public, handle
from tests.shell.meeting import KNOWN, certificate_of, fault_of, lines, meet, told_fault
from tests.shell.meeting import World as Meeting
from tests.unit.l1.world import genesis
from tests.unit.l2.node.api.world import open_world as open_desk

PASSWORD = "correct horse"
CONTENT = b'{"resourceType": "Patient", "id": "4711"}'
CHEAP = Cost(1, 8192)


@pytest.fixture
def world() -> Meeting:
    return Meeting()


@pytest.fixture
def alice(world: Meeting) -> Station:
    return Station(world.admit(b"A"), world, KNOWN)


@pytest.fixture
def bob(world: Meeting) -> Station:
    return Station(world.admit(b"B"), world, KNOWN)


# -- lines: TLS and channel key -------------------------------------------------------------------------------------


async def test_tls_thief_alone_proves_nothing(alice: Station, bob: Station) -> None:
    mallory = replace(alice, me=replace(alice.me, signer=PrivateKey(b"M" * 32)))
    _, at_bob = await meet(mallory, bob)
    assert fault_of(at_bob) is Fault.BAD_SIGNATURE


async def test_channel_thief_alone_makes_no_line(alice: Station, bob: Station) -> None:
    mallory = replace(alice, me=replace(alice.me, credentials=Credentials(certificate_of(b"M"))))
    _, at_bob = await meet(mallory, bob)
    assert fault_of(at_bob) is Fault.UNKNOWN_PEER


async def test_thief_of_both_is_alice_on_a_line_until_either_is_revoked(
    world: Meeting, alice: Station, bob: Station
) -> None:
    async with lines(alice, bob) as (_, at_bob):
        at_bob.check_still_counts(world.hospitals[alice.me.hospital], 1)
        for number in (1, 2):
            world.change_key(alice.me.hospital, number, revoked_at_ms=5)
            with pytest.raises(Refused) as cut:
                at_bob.check_still_counts(world.hospitals[alice.me.hospital], 6)
            assert cut.value.fault is Fault.UNKNOWN_PEER  # the live line is cut, and no new one is made
            ours, _ = await meet(alice, bob)
            assert told_fault(ours) == Fault.UNKNOWN_PEER
            world.change_key(alice.me.hospital, number, revoked_at_ms=None)


# -- the sealing key ------------------------------------------------------------------------------------------------


def test_sealing_thief_finds_patients_in_channels_of_that_key_and_in_no_later_ones() -> None:
    stolen, later, bobs = b"s" * 32, make_key(SEALING, "Alice", 0, Terms()).secret, b"b" * 32
    old, new = digest(b"old channel"), digest(b"new channel")
    shared = channel_secret(bobs, exchange_public(stolen), old)
    guess = channel_secret(stolen, exchange_public(bobs), old)  # the thief needs no more than public keys
    assert handle(guess, b"patient", "4711") == handle(shared, b"patient", "4711")
    shared = channel_secret(bobs, exchange_public(later), new)
    guess = channel_secret(stolen, exchange_public(bobs), new)
    assert handle(guess, b"patient", "4711") != handle(shared, b"patient", "4711")


# -- seed, keyring, password ----------------------------------------------------------------------------------------


def _hospital(folder: Path) -> Folder:
    config = Config(name="Alice", chain_url="http://nowhere")
    make_folder(folder, config, dump_genesis(genesis()), PASSWORD, CHEAP)
    return Folder(folder)


def test_thief_of_the_folder_without_the_password_opens_nothing(tmp_path: Path) -> None:
    folder = _hospital(tmp_path / "alice")
    folder.keys(PASSWORD).add(make_key(CHANNEL, "Alice", 0, Terms()))
    with pytest.raises(LocalError, match="wrong password"):
        folder.keys("guess")
    with pytest.raises(LocalError, match="does not open"):
        load_keyring(folder.path, b"g" * 32)


def test_thief_of_the_password_without_the_folder_has_nothing_to_open(tmp_path: Path) -> None:
    _hospital(tmp_path / "alice")
    with pytest.raises(LocalError, match="cannot be read"):
        Folder(tmp_path / "mallory").keys(PASSWORD)


def test_thief_of_the_seed_lacks_every_key_that_is_made_later(tmp_path: Path) -> None:
    seed = b"s" * 32
    keys = KeyStore(seed, keep=lambda ring: save_keyring(tmp_path, seed, ring))
    stolen = KeyStore(seed, load_keyring(tmp_path, seed))
    keys.add(make_key(CHANNEL, "Alice", 0, Terms()))
    assert stolen.ring == ()
    assert stolen.first_channel().public_key != keys.ring[-1].public
    assert load_keyring(tmp_path, seed) == keys.ring  # unless the folder is stolen again
    assert (tmp_path / KEYRING).exists()


# -- the record key, the desk's token -------------------------------------------------------------------------------


def test_record_key_thief_reads_the_stored_records_and_none_that_was_erased(tmp_path: Path) -> None:
    key, other = KeyStore(b"s" * 32).record_key(), KeyStore(b"g" * 32).record_key()
    with Bodies(tmp_path, key) as bodies:
        record, _ = bodies.records.add(CONTENT, now_ms=5)
        gone, _ = bodies.records.add(CONTENT + b" ", now_ms=5)
        bodies.records.erase([gone])
    with pytest.raises((LocalError, Refused)):
        Bodies(tmp_path, other)
    with Bodies(tmp_path, key) as thiefs:
        assert thiefs.records.open(record.id) == CONTENT
        with pytest.raises(LocalError):
            thiefs.records.open(gone.id)


async def test_desk_token_thief_acts_as_the_desk_but_sees_no_private_key(tmp_path: Path) -> None:
    with open_desk(tmp_path) as world:
        async with world.asking() as thief:
            assert (await thief.get("/v1/status")).status_code == 200
            shown = (await thief.get("/v1/keys")).text + (await thief.get("/openapi.json")).text
        secrets = (world.hospital.keys.first_sealing(), world.hospital.keys.record_key())
        assert not any(secret.hex() in shown for secret in secrets)
        async with world.asking("another token that nobody guesses") as stranger:
            assert (await stranger.get("/v1/status")).status_code == 401
