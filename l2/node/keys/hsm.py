"""Keys that lie in an HSM and never leave it: PKCS#11, ECDSA on secp256k1. Only here is that library known.

The extra `[hsm]` brings it. A session is opened for each signature and closed again: a root key signs a few times in a
year, and an HSM that was unplugged meanwhile is no trouble. The PIN is held in memory, and shown nowhere.
Source: PKCS #11 v2.40, sections 2.3.3 and 2.3.6 (raw r ‖ s over a digest); SEC 1, section 2.3.3 (points).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.signing import check_public_key, compact_low_s

__all__ = ["Hsm", "HsmSigner"]

SECP256K1 = "1.3.132.0.10"

INSTALL = "Install Interward with its extra: pip install 'interward[hsm]'."


class Hsm:
    """A token of an HSM, by its module's path and its label."""

    def __init__(self, module: str, token: str, pin: str) -> None:
        self._module, self._token, self._pin = module, token, pin

    def __repr__(self) -> str:
        return f"Hsm({self._token!r})"

    def signer(self, label: str, public_key: bytes) -> "HsmSigner":
        """The signer of a key whose public half is known: the HSM is asked for nothing before it signs."""
        return HsmSigner(self, label, public_key)

    def make(self, label: str) -> bytes:
        """Make a key that never leaves the token, if it is not there; its public key. Raises `LocalError`."""
        import pkcs11

        with self._session(write=True) as session:
            found = _find(session, label, pkcs11.ObjectClass.PUBLIC_KEY)
            if found is not None:  # made before a crash; one that is in use already the chain refuses to register
                return _compressed(bytes(found[pkcs11.Attribute.EC_POINT]))
            curve = session.create_domain_parameters(
                pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: _curve()}, local=True
            )
            private = {
                pkcs11.Attribute.SENSITIVE: True,
                pkcs11.Attribute.EXTRACTABLE: False,
                pkcs11.Attribute.SIGN: True,
            }
            public, _ = curve.generate_keypair(store=True, label=label, private_template=private)
            return _compressed(bytes(public[pkcs11.Attribute.EC_POINT]))

    def sign(self, label: str, digest: bytes) -> bytes:
        """r ‖ s, as the HSM made it. Raises `LocalError`."""
        import pkcs11

        with self._session() as session:
            key = _find(session, label, pkcs11.ObjectClass.PRIVATE_KEY)
            if key is None:
                raise LocalError(f"the token {self._token} has no key {label}", "Is it the right token?")
            return bytes(key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA))

    @contextmanager
    def _session(self, *, write: bool = False) -> Iterator[Any]:
        try:
            import pkcs11
        except ImportError:
            raise LocalError("this installation has no PKCS#11", INSTALL) from None
        try:
            token = pkcs11.lib(self._module).get_token(token_label=self._token)
            with token.open(rw=write, user_pin=self._pin) as session:
                yield session
        except pkcs11.PKCS11Error as error:
            # Its message names what failed, never the PIN.
            cause = f"the HSM token {self._token} did not do it ({type(error).__name__} {error})".replace(" )", ")")
            raise LocalError(cause, "Is it plugged in, the module's path right, the PIN right?") from None


class HsmSigner:
    """A `Signer` whose private half never leaves the HSM."""

    def __init__(self, hsm: Hsm, label: str, public_key: bytes) -> None:
        self._hsm, self._label = hsm, label
        self._public_key = check_public_key(public_key)

    def __repr__(self) -> str:
        return f"HsmSigner(of {self._public_key[:4].hex()}…)"

    @property
    def public_key(self) -> bytes:
        return self._public_key

    def sign_digest(self, digest: bytes) -> bytes:
        """Low-S, and checked: a wrong key under that label must not end in a refusal by the chain."""
        assert len(digest) == 32
        try:
            return compact_low_s(self._hsm.sign(self._label, digest), self._public_key, digest)
        except Refused:
            cause = f"the HSM's key {self._label} is not the one that this hospital was made with"
            raise LocalError(cause, "Is it the right token? A backup of the old one holds the key.") from None


def _find(session: Any, label: str, kind: Any) -> Any:
    import pkcs11

    return next(iter(session.get_objects({pkcs11.Attribute.CLASS: kind, pkcs11.Attribute.LABEL: label})), None)


def _curve() -> bytes:
    from pkcs11.util.ec import encode_named_curve_parameters

    return bytes(encode_named_curve_parameters(SECP256K1))


def _compressed(point: bytes) -> bytes:
    """SEC 1: an uncompressed point, in a DER octet string (or bare, as some HSMs give it), compressed."""
    bare = point[2:] if len(point) == 67 and point[:2] == b"\x04\x41" else point
    if len(bare) != 65 or bare[0] != 4:
        raise Refused(Fault.BAD_KEY, "the HSM gives a public key that is no point of secp256k1")
    return check_public_key(bytes([2 + (bare[64] & 1)]) + bare[1:33])
