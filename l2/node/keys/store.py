"""A hospital's private keys: the first ones made from one seed, later ones random and kept in the keyring.

Knows which key is for what and, given a registry row, which of those it holds may act. Does not know where seed and
keyring lie (`l2.node.folder`). Later keys are no children of the seed: who stole the seed has not stolen them.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial

from l1.ground.codec import Shape, decoder
from l1.ground.faults import LocalError
from l1.ground.fields import TimeMs
from l1.ground.hashing import tagged_digest
from l1.ground.signing import PrivateKey, Signer
from l1.rules.keys import counting_keys, own_channel_keys
from l1.rules.state import Hospital, Key
from l1.rules.transactions import CHANNEL, ROOT, SEALING, account_of
from l2.node.keys.hsm import Hsm
from l2.records.keys import exchange_public

__all__ = ["FIRST_CHANNEL", "KEYRING_BYTES_MAX", "KeyStore", "StoredKey", "decode_keyring"]

FIRST_CHANNEL = 1  # the number of an admission's channel key
KEYRING_BYTES_MAX = 16 * 1024 * 1024  # a thousand keys with their certificates, and room


class StoredKey(Shape, frozen=True):
    """A key of the keyring. `public` is what L1 registers; an empty `secret` lies in an HSM, under `label`.

    `certificate`, in DER, belongs to a TLS key. `until_ms` is the end that is registered. `replaces`: older keys of its
    kind are revoked once it is in use. A root key that a recovery key is to register has no end here (0).
    """

    kind: int
    public: bytes
    secret: bytes
    made_ms: TimeMs
    until_ms: TimeMs
    certificate: bytes
    label: str
    replaces: bool


decode_keyring = decoder(tuple[StoredKey, ...], bytes_max=KEYRING_BYTES_MAX, what="keyring")


class KeyStore:
    """The private keys of one hospital. It never shows itself.

    `keep` makes the keyring durable, as a whole; it returns once it is. `again` reads what is durable.
    """

    def __init__(
        self,
        seed: bytes,
        ring: Sequence[StoredKey] = (),
        *,
        keep: Callable[[tuple[StoredKey, ...]], None] = lambda _: None,
        again: Callable[[], Sequence[StoredKey]] | None = None,
        first_root: Signer | None = None,
        hsm: Hsm | None = None,
    ) -> None:
        assert len(seed) == 32
        self._seed = seed
        self._keep, self._again, self.hsm = keep, again, hsm
        self.ring = tuple(ring)
        self.first_root: Signer = first_root or PrivateKey(self._secret(b"root"))
        # Every channel asks at every block, and the public half of a key costs a multiplication on the curve.
        self._first_channel = PrivateKey(self._secret(b"channel"))
        self._held = dict[bytes, Signer]()

    def __repr__(self) -> str:
        return "KeyStore(…)"

    def _secret(self, purpose: bytes, number: int = 0) -> bytes:
        return tagged_digest(b"keys", self._seed, purpose, number.to_bytes(4, "big"))

    @property
    def hospital(self) -> bytes:
        """The hospital's id: the account of its first root key, for ever."""
        return account_of(self.first_root.public_key)

    def first_channel(self) -> PrivateKey:
        """The channel key of the admission."""
        return self._first_channel

    def first_sealing(self) -> bytes:
        """The sealing key of the admission: X25519 private, 32 bytes."""
        return self._secret(b"sealing")

    def tls_seed(self) -> bytes:
        """Makes the private key of the first certificate."""
        return self._secret(b"tls")

    def release_seed(self) -> bytes:
        """Makes the secret of every grant, so that it survives a lost disk."""
        return self._secret(b"release")

    def record_key(self) -> bytes:
        """The key-encryption key of records at rest."""
        return self._secret(b"records")

    def add(self, key: StoredKey) -> None:
        """Take a key in: durable before anybody hears of it."""
        ring = (*self.ring, key)
        self._keep(ring)
        self.ring = ring

    def look_again(self) -> None:
        """Another process of this hospital may have taken a key in. Raises `LocalError` for a damaged file."""
        if self._again is not None:
            self.ring = tuple(self._again())

    def newest(self, kind: int) -> StoredKey | None:
        """The key of that kind that was made last, if any was since the admission."""
        return next((key for key in reversed(self.ring) if key.kind == kind), None)

    # -- which of them may act

    def _signers(self, kind: int) -> dict[bytes, Callable[[], Signer]]:
        first: Signer = self.first_root if kind == ROOT else self.first_channel()
        found: dict[bytes, Callable[[], Signer]] = {first.public_key: lambda: first}
        for key in self.ring:
            if key.kind == kind:
                found[key.public] = partial(self.held, key)
        return found

    def signer(self, kind: int, registered: Hospital, clock_ms: int) -> tuple[int, Signer] | None:
        """The newest root or channel key that may act now and that we hold, with its number."""
        return self._newest_of(kind, counting_keys(registered, kind, clock_ms))

    def closing_signer(self, registered: Hospital) -> tuple[int, Signer] | None:
        """The newest channel key that we hold and that is not revoked: an expired one still ends things."""
        return self._newest_of(CHANNEL, [key for key in registered.keys if key.revoked_at_ms is None])

    def channel_signer(self, registered: Hospital, opened_at_ms: int, clock_ms: int) -> tuple[int, Signer, int]:
        """Number and key for what is said in a channel, and up to which number no key signs its log (-1: all may).

        [ROT-2] The newest that has begun, though it may have ended. Where that one was revoked or is not held here, the
        newest that is held says what is no commitment.
        """
        keys = own_channel_keys(registered, opened_at_ms, clock_ms)
        number, signer = self._newest_of(CHANNEL, keys) or (FIRST_CHANNEL, self.first_channel())
        if not keys:
            return number, signer, number
        signs = keys[-1].number == number and keys[-1].revoked_at_ms is None
        return number, signer, -1 if signs else keys[-1].number

    def channel_signers(self, registered: Hospital, clock_ms: int) -> Callable[[int], tuple[int, Signer, int]]:
        """`channel_signer` at this moment, by when a channel opened: the same for all that opened between two of our
        revocations, so a thousand channels ask as often as there are such times."""
        ends = sorted({key.revoked_at_ms for key in registered.keys if key.revoked_at_ms is not None})
        found: dict[int, tuple[int, Signer, int]] = {}

        def of(opened_at_ms: int) -> tuple[int, Signer, int]:
            passed = bisect_right(ends, opened_at_ms)
            if passed not in found:
                found[passed] = self.channel_signer(registered, opened_at_ms, clock_ms)
            return found[passed]

        return of

    def _newest_of(self, kind: int, candidates: Sequence[Key]) -> tuple[int, Signer] | None:
        held = self._signers(kind)
        found = [key for key in candidates if key.kind == kind and key.key in held]
        return (found[-1].number, held[found[-1].key]()) if found else None

    def held(self, key: StoredKey) -> Signer:
        """The signer of a key in the ring."""
        if key.public not in self._held:
            self._held[key.public] = self._open(key)
        return self._held[key.public]

    def _open(self, key: StoredKey) -> Signer:
        if key.secret:
            return PrivateKey(key.secret)
        if self.hsm is None:
            cause = f"key {key.label} lies in an HSM, and hospital.toml names none"
            raise LocalError(cause, "Put its `[hsm]` section back.")
        return self.hsm.signer(key.label, key.public)

    def sealing(self, public: bytes) -> bytes | None:
        """The private half of a sealing key, if we hold it."""
        first = self.first_sealing()
        if exchange_public(first) == public:
            return first
        return next((key.secret for key in self.ring if key.kind == SEALING and key.public == public), None)

    def holds(self, key: Key, first_certificate: bytes) -> bool:
        """Whether the private half of a registered key is here. `first_certificate` is a fingerprint."""
        firsts = (
            self.first_root.public_key,
            self.first_channel().public_key,
            exchange_public(self.first_sealing()),
            first_certificate,
        )
        return key.key in firsts or any(key.key == own.public for own in self.ring)
