"""The keyring's file and the key store: durable before it is known, whole or not at all, and never the seed's child."""

import os
from pathlib import Path
from typing import Any

import pytest

from l1.ground.faults import LocalError
from l1.ground.signing import Signer
from l1.rules.state import Hospital, Key
from l1.rules.transactions import CHANNEL, ROOT, SEALING, TLS
from l2.node.keys import KEYRING, KeyStore, StoredKey, Terms, certificate_of, load_keyring, make_key, save_keyring
from l2.records.keys import exchange_public

SEED = b"s" * 32
NOW_MS = 1_800_000_000_000


def store(folder: Path) -> KeyStore:
    return KeyStore(SEED, load_keyring(folder, SEED), keep=lambda ring: save_keyring(folder, SEED, ring))


def made(kind: int) -> StoredKey:
    return make_key(kind, "General", NOW_MS, Terms())


def test_what_was_added_is_there_after_a_restart_and_says_nothing(tmp_path: Path) -> None:
    keys = store(tmp_path)
    added = [made(kind) for kind in (CHANNEL, TLS, SEALING, ROOT)]
    for key in added:
        keys.add(key)
    assert store(tmp_path).ring == tuple(added)
    sealed = (tmp_path / KEYRING).read_bytes()
    assert not any(key.secret in sealed or key.public in sealed for key in added)
    assert (tmp_path / KEYRING).stat().st_mode & 0o777 == 0o600


def test_a_key_that_could_not_be_written_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = store(tmp_path)
    keys.add(made(CHANNEL))

    def fails(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="No space"):
        keys.add(made(TLS))
    monkeypatch.undo()
    assert keys.ring == store(tmp_path).ring
    assert len(keys.ring) == 1


def test_a_crash_while_writing_leaves_the_old_ring(tmp_path: Path) -> None:
    keys = store(tmp_path)
    keys.add(made(CHANNEL))
    (tmp_path / f"{KEYRING}.new").write_bytes(b"half a ri")
    assert store(tmp_path).ring == keys.ring
    keys.add(made(TLS))
    assert store(tmp_path).ring == keys.ring


@pytest.mark.parametrize("harm", [b"", b"rubbish" * 20])
def test_a_damaged_ring_is_named_and_so_is_anothers(tmp_path: Path, harm: bytes) -> None:
    (tmp_path / KEYRING).write_bytes(harm)
    with pytest.raises(LocalError, match="does not open") as caught:
        load_keyring(tmp_path, SEED)
    assert "backup" in caught.value.remedy
    save_keyring(tmp_path, b"t" * 32, (made(TLS),))
    with pytest.raises(LocalError, match="does not open"):
        load_keyring(tmp_path, SEED)


def test_later_keys_are_no_children_of_the_seed() -> None:
    assert made(CHANNEL).secret != made(CHANNEL).secret


def test_a_certificate_is_the_one_whose_fingerprint_is_registered() -> None:
    key = made(TLS)
    assert certificate_of(key).fingerprint == key.public


def _registered(*keys: tuple[int, bytes, int, int | None]) -> Hospital:
    rows = [
        Key(number=n, kind=kind, key=key, valid_from_ms=0, valid_until_ms=until, revoked_at_ms=revoked,
            compromised_since_ms=None)
        for n, (kind, key, until, revoked) in enumerate(keys)
    ]  # fmt: skip
    return Hospital(id=bytes(20), name="General", endpoint="x:1", keys=tuple(rows))


def test_the_newest_key_that_counts_and_is_held_signs(tmp_path: Path) -> None:
    keys = store(tmp_path)
    first, second, foreign = keys.first_channel().public_key, made(CHANNEL), made(CHANNEL)
    keys.add(second)
    root = (ROOT, keys.first_root.public_key, 100, None)

    def signing(at_ms: int, *rows: tuple[int, bytes, int, int | None]) -> int | None:
        found = keys.signer(CHANNEL, _registered(root, *rows), at_ms)
        return None if found is None else found[0]

    older, newer = (CHANNEL, first, 100, None), (CHANNEL, second.public, 50, None)
    assert signing(10, older) == 1
    assert signing(10, older, newer) == 2
    assert signing(60, older, newer) == 1
    assert signing(10, older, newer, (CHANNEL, foreign.public, 100, None)) == 2
    assert signing(10, (CHANNEL, first, 100, 5)) is None
    closing = keys.closing_signer(_registered(root, (CHANNEL, first, 100, 5), newer))
    assert closing is not None
    assert closing[0] == 2  # expired or not
    assert closing[1].public_key == second.public


def test_in_a_channel_the_newest_key_that_has_begun_signs_or_none(tmp_path: Path) -> None:
    keys = store(tmp_path)
    first, second, foreign = keys.first_channel().public_key, made(CHANNEL), made(CHANNEL)
    keys.add(second)
    root = (ROOT, keys.first_root.public_key, 100, None)
    older = (CHANNEL, first, 100, None)

    def signing(*rows: tuple[int, bytes, int, int | None], opened_at_ms: int = 8) -> tuple[int, int]:
        number, signer, over = keys.channel_signer(_registered(root, *rows), opened_at_ms, 60)
        assert signer.public_key in (first, second.public)
        return number, over

    assert signing(older) == (1, -1)
    assert signing(older, (CHANNEL, second.public, 50, None)) == (2, -1)  # it has ended
    assert signing(older, (CHANNEL, second.public, 100, 9)) == (2, 2)  # revoked
    assert signing(older, (CHANNEL, second.public, 100, 8)) == (1, -1)  # before the channel opened
    assert signing(older, (CHANNEL, foreign.public, 50, None)) == (1, 2)  # not held
    assert signing((CHANNEL, first, 100, 5)) == (1, 1)


def test_a_thousand_channels_ask_as_often_as_keys_were_revoked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = store(tmp_path)
    first, second, third = keys.first_channel().public_key, made(CHANNEL), made(CHANNEL)
    for key in (second, third):
        keys.add(key)
    root = (ROOT, keys.first_root.public_key, 100, None)
    rows = (root, (CHANNEL, first, 100, 5), (CHANNEL, second.public, 50, 9), (CHANNEL, third.public, 100, None))
    alone, asked = keys.channel_signer, 0

    def counting(*told: Any) -> tuple[int, Signer, int]:
        nonlocal asked
        asked += 1
        return alone(*told)

    for registered in (_registered(*rows[:2]), _registered(*rows[:3]), _registered(*rows)):
        expected = [alone(registered, opened_at_ms, 60) for opened_at_ms in range(1_000)]
        monkeypatch.setattr(keys, "channel_signer", counting)
        asked, signer_of = 0, keys.channel_signers(registered, 60)
        assert [signer_of(opened_at_ms) for opened_at_ms in range(1_000)] == expected
        assert asked <= 3


def test_a_sealing_key_is_found_by_its_public_half(tmp_path: Path) -> None:
    keys = store(tmp_path)
    later = made(SEALING)
    keys.add(later)
    assert keys.sealing(later.public) == later.secret
    assert keys.sealing(exchange_public(keys.first_sealing())) == keys.first_sealing()
    assert keys.sealing(bytes(32)) is None
