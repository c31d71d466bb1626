"""A hospital's private keys: the first ones from one seed, later ones in the keyring, a root key perhaps in an HSM."""

from l2.node.keys.certificates import certificate_of, first_certificate
from l2.node.keys.health import EXPIRES_SOON_MS, key_state, key_warnings
from l2.node.keys.hsm import Hsm, HsmSigner
from l2.node.keys.keyring import KEYRING, load_keyring, save_keyring
from l2.node.keys.making import Terms, make_key
from l2.node.keys.store import FIRST_CHANNEL, KeyStore, StoredKey

__all__ = [
    "EXPIRES_SOON_MS",
    "FIRST_CHANNEL",
    "Hsm",
    "HsmSigner",
    "KEYRING",
    "KeyStore",
    "StoredKey",
    "Terms",
    "certificate_of",
    "first_certificate",
    "key_state",
    "key_warnings",
    "load_keyring",
    "make_key",
    "save_keyring",
]
