"""What a hospital and its own desk say to each other about keys. As in `l2.desk.words`; source: docs/spec/keys.md."""

from typing import Annotated, Literal

from msgspec import Meta

from l2.desk.words import Credits, Hex, TimeMs, Word

__all__ = [
    "KeyKind",
    "KeyView",
    "Rotate",
    "Rotated",
    "Revoke",
    "Revoked",
    "RootMade",
    "RegisterRecovery",
    "Registered",
    "Affected",
    "AffectedChannel",
]

KeyKind = Literal["root", "channel", "tls", "sealing"]


class KeyView(Word, frozen=True):
    """A key as L1 has registered it. `state` is `counts`, `waits`, `ended`, `revoked`, `vetoed` or `gave way`; `held`
    says that its private half is here; `by` is the number of the key that registered it."""

    number: int
    kind: str
    key: Hex
    valid_from_ms: TimeMs
    valid_until_ms: TimeMs
    revoked: bool
    state: str
    held: bool
    by: int
    compromised_since_ms: TimeMs | None = None


class Rotate(Word, frozen=True):
    """Without `valid_days` the new key has no end; with `keep_old` the older ones of its kind go on counting."""

    kind: KeyKind
    valid_days: Annotated[float, Meta(gt=0, le=36_500)] | None = None
    keep_old: bool = False
    hsm_key: str = ""
    """The label of a root key to be made in the HSM."""


class Rotated(Word, frozen=True):
    """`state` as in `KeyView`: a new root key waits. `ended` are the numbers of the keys that were revoked for it."""

    kind: str
    number: int
    key: Hex
    state: str
    counts_from_ms: TimeMs
    until_ms: TimeMs
    ended: list[int]


class RootMade(Word, frozen=True):
    """A root key for the recovery key to register: it lies in the keyring. `possession` is its own word for that."""

    key: Hex
    possession: Hex


class RegisterRecovery(Word, frozen=True):
    key: Hex
    possession: Hex


class Registered(Word, frozen=True):
    number: int
    counts_from_ms: TimeMs


class Revoke(Word, frozen=True):
    """`compromised_since_ms` is for auditors; nothing is judged by it."""

    compromised_since_ms: TimeMs | None = None


class Revoked(Word, frozen=True):
    number: int
    kind: str
    revoked_at_ms: TimeMs


class AffectedChannel(Word, frozen=True):
    """What a lost key did in one channel. `commitments` of ours under it cover our entries `first` to `last`.

    `counts`: what it signs there counts on L1 still, at most until `counts_until_ms` (None: no end is set, for no
    later key has signed a checkpoint there). `at_stake`: our deposit and bond, the most it can cost us there.
    """

    channel: Hex
    peer_name: str
    why: str
    commitments: int = 0
    first: int | None = None
    last: int | None = None
    counts: bool = False
    counts_until_ms: TimeMs | None = None
    at_stake: Credits = 0
    records: tuple[Hex, ...] = ()
    grants: int = 0


class Affected(Word, frozen=True):
    """Whatever a lost key could speak for, or open: channels with their commitments and records, and other keys."""

    number: int
    kind: str
    state: str
    since_ms: TimeMs
    says: str
    channels: list[AffectedChannel]
    keys: list[int]
    commitments: int
    records: int
