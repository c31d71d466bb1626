"""A root key in an HSM: SoftHSM2, where it is installed. The suite of a key in memory, and a whole hospital."""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.sealed import Cost
from l1.ground.signing import PrivateKey, compact_low_s
from l1.reader import dump_genesis
from l1.rules.transactions import ROOT, account_of
from l2.node.folder import PIN, Config, Folder, HsmConfig, make_folder
from l2.node.keys import Hsm, Terms, make_key
from tests.unit.l1.ground.signers import check_signer
from tests.unit.l1.world import genesis

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")
MODULE = next((path for path in MODULES if Path(path).exists()), "")
TOKEN, PIN_OF_IT, ORDER = "interward", "31415926", 2**256 - 0x1_45512319_50B75FC4_402DA173_2FC9BEBF


def test_a_key_in_memory_is_a_signer() -> None:
    check_signer(PrivateKey(b"a" * 32), PrivateKey(b"b" * 32))


def test_a_high_s_is_made_low_and_anothers_signature_is_refused() -> None:
    key, other, digest = PrivateKey(b"a" * 32), PrivateKey(b"b" * 32), b"d" * 32
    low = key.sign_digest(digest)
    high = low[:32] + (ORDER - int.from_bytes(low[32:], "big")).to_bytes(32, "big")
    assert compact_low_s(low, key.public_key, digest) == compact_low_s(high, key.public_key, digest) == low
    for bad in (low[:63], bytes(64), b"\xff" * 64, other.sign_digest(digest)):
        with pytest.raises(Refused) as caught:
            compact_low_s(bad, key.public_key, digest)
        assert caught.value.fault is Fault.BAD_SIGNATURE


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A token of its own in a folder of its own: the module's path. The library reads its config once a process."""
    pytest.importorskip("pkcs11", reason="the extra [hsm] is not installed")
    if not MODULE or shutil.which("softhsm2-util") is None:
        pytest.skip("softhsm2 is not installed: apt-get install softhsm2")
    folder = tmp_path_factory.mktemp("hsm")
    (folder / "tokens").mkdir()
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(config)
    making = ["softhsm2-util", "--init-token", "--free", "--label", TOKEN, "--so-pin", "so" + PIN_OF_IT]
    subprocess.run([*making, "--pin", PIN_OF_IT], check=True, capture_output=True)
    return MODULE


def test_a_key_in_an_hsm_is_a_signer(token: str) -> None:
    hsm = Hsm(token, TOKEN, PIN_OF_IT)
    one, two = (hsm.signer(label, hsm.make(label)) for label in ("one", "two"))
    check_signer(one, two)
    assert hsm.make("one") == one.public_key  # asked again after a crash: the same key


def test_what_is_wrong_is_said_without_the_pin(token: str) -> None:
    public = Hsm(token, TOKEN, PIN_OF_IT).make("good")
    wrong = {
        "PinIncorrect": Hsm(token, TOKEN, "not the PIN"),
        "NoSuchToken": Hsm(token, "another token", PIN_OF_IT),
        "cannot open shared object": Hsm("/nowhere/module.so", TOKEN, PIN_OF_IT),
    }
    for cause, hsm in wrong.items():
        with pytest.raises(LocalError, match=cause) as caught:
            hsm.signer("good", public).sign_digest(b"d" * 32)
        said = f"{caught.value} {hsm!r} {hsm.signer('good', public)!r}"
        assert "not the PIN" not in said
        assert PIN_OF_IT not in said
    hsm = Hsm(token, TOKEN, PIN_OF_IT)
    with pytest.raises(LocalError, match="has no key nobody"):
        hsm.signer("nobody", public).sign_digest(b"d" * 32)
    other = hsm.make("other")
    with pytest.raises(LocalError, match="is not the one"):
        hsm.signer("good", other).sign_digest(b"d" * 32)


def test_a_hospital_keeps_its_root_key_in_the_hsm(token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hsm = Hsm(token, TOKEN, PIN_OF_IT)
    public = hsm.make("root of the hospital")
    told = HsmConfig(module=token, token=TOKEN, label="root of the hospital", public=public.hex())
    config = Config(name="Alice", chain_url="http://nowhere", hsm=told)
    made = make_folder(tmp_path, config, dump_genesis(genesis()), "pw", Cost(1, 8192), hsm.signer(told.label, public))
    assert made == account_of(public)
    folder = Folder(tmp_path)
    assert folder.config() == config
    assert tomllib.loads((tmp_path / "hospital.toml").read_text())["hsm"]["token"] == TOKEN
    monkeypatch.setenv(PIN, PIN_OF_IT)
    keys = folder.keys("pw", folder.pin())
    assert keys.hospital == made
    check_signer(keys.first_root, PrivateKey(b"b" * 32))
    keys.add(make_key(ROOT, "Alice", 5, Terms(hsm_key="next root"), keys.hsm))
    again = folder.keys("pw", folder.pin()).ring[0]
    assert (again.secret, again.label) == (b"", "next root")
    check_signer(keys.held(again), keys.first_root)
    assert not any(PIN_OF_IT.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    without = folder.keys("pw")  # whoever does not sign with it needs no PIN
    assert without.hospital == made
    with pytest.raises(LocalError, match="PIN"):
        without.first_root.sign_digest(b"d" * 32)
