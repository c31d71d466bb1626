"""What the chain remembers: rows of canonical bytes under readable keys, and typed drafts of them.

The state is a map from key to bytes; its sparse Merkle root stands in every header, so each row can be proved alone.
A `Draft` lays a transition's writes over a `View`: nothing underneath changes until the whole transition stands.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Annotated, Protocol, TypeVar

from msgspec import Meta

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Refused
from l1.ground.fields import AccountId, ChannelId, Credits, Digest, Height, KeyBytes, Size, TimeMs
from l1.ground.hashing import digest
from l1.ground.limits import BLOCK_BYTES_MAX
from l1.ground.sparse import SparseProof, place_of
from l1.ground.sparse import verify as verify_sparse
from l1.rules.commitment import EMPTY_HEAD, Head, KeyNumber, Opening, Side
from l1.rules.genesis import Parameters

__all__ = [
    "PARAMETERS_KEY",
    "REGISTRARS_KEY",
    "Account",
    "Channel",
    "Claim",
    "Delegation",
    "Demanded",
    "Draft",
    "Hospital",
    "Key",
    "Owner",
    "Phase",
    "SideState",
    "View",
    "account_key",
    "channel_key",
    "decode_account",
    "decode_channel",
    "decode_hospital",
    "decode_owner",
    "decode_parameters",
    "decode_registrars",
    "decode_towers",
    "hospital_key",
    "owner_key",
    "towers_key",
    "verify_row",
]

T = TypeVar("T")


class Account(Shape, frozen=True):
    """Credits of an account, and the nonce that its key's next transaction must carry."""

    credits: Credits = 0
    nonce: Annotated[int, Meta(ge=0, le=2**53)] = 0


class Key(Shape, frozen=True):
    """A registered key. Times are on the chain clock; `revoked_at_ms` is when L1 took the revocation.

    A root key counts from `valid_from_ms` on (for a change: admission of the change plus the key window). `by` is the
    number of the key that registered it; the keys of an admission name the first root key.
    """

    number: KeyNumber
    kind: int
    key: bytes
    valid_from_ms: TimeMs
    valid_until_ms: TimeMs
    revoked_at_ms: TimeMs | None
    compromised_since_ms: TimeMs | None
    by: KeyNumber = 0


class Hospital(Shape, frozen=True):
    """A hospital's registry: its id is the account of its first root key and never changes."""

    id: AccountId
    name: str
    endpoint: str
    keys: tuple[Key, ...]

    def key(self, number: int) -> Key | None:
        return self.keys[number] if number < len(self.keys) else None


class Owner(Shape, frozen=True):
    """Whose key it is that an account was made of: a signing key belongs to one hospital only, for ever.

    `lent` credits of its hospital paid for what the key asked in key window number `window` (FEE-7).
    """

    hospital: AccountId
    number: KeyNumber
    window: Size = 0
    lent: Credits = 0


class Delegation(Shape, frozen=True):
    """A watchtower of a hospital: its account, its share of a forfeited bond (per mille), since when."""

    tower: AccountId
    reward: Annotated[int, Meta(ge=0, le=1_000)]
    since_ms: TimeMs


class Phase(IntEnum):
    """Where a channel is on L1. The transitions are the table in `l1.rules.phases`."""

    OPEN = 1
    CLOSING = 2
    SETTLED = 3


class SideState(Shape, frozen=True):
    """What L1 knows of one side's log.

    `settled`: the greatest head that both signed, shown by a checkpoint, which its side signed at `settled_height`, and
    `settled_spent` the greatest total up to there: no resume can void these. `posted`: the newest commitment of this
    side shown while closing (its head); `posted_by_peer` that the peer's own key showed it. `spent`: the greatest total
    it is shown to have signed, by a commitment of `spent_size` and `spent_height`. `seen_size`: the peer size that its
    posted commitment acknowledged. `resume_*`: the newest resume posted for this side. `newest_key` is the newest of
    its keys that signed a checkpoint, first at `newest_key_at_ms`; older ones count one key window more. `guilty` is
    the charge for which its bond was forfeited, 0 for none.
    """

    deposit: Credits
    bond: Credits
    settled: Head = EMPTY_HEAD
    settled_spent: Credits = 0
    posted: Head = EMPTY_HEAD
    posted_height: Height = 0
    posted_by_peer: bool = False
    spent: Credits = 0
    spent_size: Size = 0
    spent_height: Height = 0
    seen_size: Size = 0
    resume_height: Height = 0
    resume_size: Size = 0
    newest_key: KeyNumber = 0
    newest_key_at_ms: TimeMs = 0
    paid_out: Credits = 0
    guilty: int = 0
    settled_height: Height = 0


class Claim(Shape, frozen=True, tag=1):
    """A verdict against `side` that waits until `until_ms` on the chain clock: a resume that voids one of `words`
    (sizes and heights of commitments) lifts it. `by_peer`: the other side itself reported it. `tower` is the peer's
    watchtower that did, `reward` its part of the bond."""

    charge: int
    side: Side
    until_ms: TimeMs
    words: tuple[tuple[Size, Height], ...]
    by_peer: bool
    tower: AccountId | None
    reward: Credits


class Demanded(Shape, frozen=True, tag=2):
    """The recipient asks `side` for the secret of its grant: `lock` is its SHA-256, `consent` what the grant stands
    on. Unanswered until `until_ms`, it is a verdict."""

    side: Side
    until_ms: TimeMs
    grant: Size
    consent: Size | None
    lock: Digest


class Channel(Shape, frozen=True):
    """A channel on L1. `closer` is the side that closed alone; `closes_at_ms` is on the chain clock.

    `stale` says that the closer was shown to have posted an old commitment: its bond goes to the peer. `closed_size` is
    the size that the closer posted. `tower` is the peer's watchtower that showed it, `reward` its part of that bond.
    `claims` are the charges that wait for their window.
    """

    id: ChannelId
    opening: Opening
    opened_at: Height
    opened_at_ms: TimeMs
    phase: int
    sides: tuple[SideState, SideState]
    closer: Side | None = None
    lost: bool = False
    closes_at_ms: TimeMs = 0
    closed_size: Size = 0
    stale: bool = False
    together: bool = False
    tower: AccountId | None = None
    reward: Credits = 0
    claims: tuple[Claim | Demanded, ...] = ()


def account_key(account: bytes) -> bytes:
    return b"account/" + account


def hospital_key(hospital: bytes) -> bytes:
    return b"hospital/" + hospital


def channel_key(channel: bytes) -> bytes:
    return b"channel/" + channel


def owner_key(account: bytes) -> bytes:
    return b"owner/" + account


def towers_key(hospital: bytes) -> bytes:
    return b"towers/" + hospital


PARAMETERS_KEY = b"parameters"
REGISTRARS_KEY = b"registrars"

decode_account = decoder(Account, bytes_max=BLOCK_BYTES_MAX, what="account")
decode_hospital = decoder(Hospital, bytes_max=BLOCK_BYTES_MAX, what="hospital")
decode_channel = decoder(Channel, bytes_max=BLOCK_BYTES_MAX, what="channel")
decode_owner = decoder(Owner, bytes_max=BLOCK_BYTES_MAX, what="owner")
decode_towers = decoder(tuple[Delegation, ...], bytes_max=BLOCK_BYTES_MAX, what="watchtowers")
decode_registrars = decoder(tuple[KeyBytes, ...], bytes_max=BLOCK_BYTES_MAX, what="registrars")
decode_parameters = decoder(Parameters, bytes_max=BLOCK_BYTES_MAX, what="parameters")


def verify_row(state_root: bytes, key: bytes, row: bytes | None, proof: SparseProof) -> None:
    """Raise `Refused` (BAD_PROOF) unless the state holds exactly this row (None: no row) under the key."""
    verify_sparse(state_root, place_of(key), None if row is None else digest(row), proof)


class View(Protocol):
    """A state that can be read."""

    def get(self, key: bytes) -> bytes | None: ...


class Draft:
    """Writes of a transition that is still being checked, over a view that they do not touch.

    A draft is a view itself, so drafts nest: a transaction's over a block's, `absorb`ed when the transaction stands.
    """

    def __init__(self, under: View) -> None:
        self._under = under
        self.writes: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.writes[key] if key in self.writes else self._under.get(key)

    def put(self, key: bytes, row: Shape | tuple[Shape, ...]) -> None:
        self.writes[key] = encode(row)

    def absorb(self, inner: "Draft") -> None:
        self.writes.update(inner.writes)

    def find_account(self, account: bytes) -> Account | None:
        return self._row(account_key(account), decode_account)

    def get_account(self, account: bytes) -> Account:
        """The account; one that nobody has used yet is empty."""
        return self.find_account(account) or Account()

    def put_account(self, account: bytes, row: Account) -> None:
        self.put(account_key(account), row)

    def get_hospital(self, hospital: bytes) -> Hospital | None:
        return self._row(hospital_key(hospital), decode_hospital)

    def put_hospital(self, row: Hospital) -> None:
        self.put(hospital_key(row.id), row)

    def get_channel(self, channel: bytes) -> Channel | None:
        return self._row(channel_key(channel), decode_channel)

    def put_channel(self, row: Channel) -> None:
        self.put(channel_key(row.id), row)

    def get_owner(self, account: bytes) -> Owner | None:
        """The hospital whose signing key the account was made of, if it is one."""
        return self._row(owner_key(account), decode_owner)

    def put_owner(self, account: bytes, row: Owner) -> None:
        self.put(owner_key(account), row)

    def get_towers(self, hospital: bytes) -> tuple[Delegation, ...]:
        """The watchtowers that the hospital has named."""
        return self._row(towers_key(hospital), decode_towers) or ()

    def put_towers(self, hospital: bytes, row: tuple[Delegation, ...]) -> None:
        self.put(towers_key(hospital), row)

    def get_parameters(self) -> Parameters:
        parameters = self._row(PARAMETERS_KEY, decode_parameters)
        assert parameters is not None, "a state begins with its parameters"
        return parameters

    def get_registrars(self) -> tuple[bytes, ...]:
        return self._row(REGISTRARS_KEY, decode_registrars) or ()

    def _row(self, key: bytes, decode: Callable[[bytes], T]) -> T | None:
        row = self.get(key)
        if row is None:
            return None
        try:
            return decode(row)
        except Refused as error:
            # Our own row: a damaged store or a bug, never the fault of the transaction at hand.
            raise AssertionError(f"the state holds a row that does not decode: {error}") from error
