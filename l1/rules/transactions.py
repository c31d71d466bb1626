"""What can be asked of the chain: one shape per kind, signed with the nonce of the key that asks.

A key's account is `account_of(key)`; a hospital's id is the account of its first root key and never changes. What a
key may do follows from the registry: accounts move their own credits, registrars admit, a hospital's root key governs
its keys, any of its root or channel keys runs its channels. Source: docs/spec/chain.md.
"""

from typing import Annotated, ClassVar

from msgspec import Meta

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, require
from l1.ground.fields import AccountId, ChannelId, Credits, Digest, KeyBytes, Name, SignatureBytes, Size, TimeMs
from l1.ground.hashing import digest, tagged_digest
from l1.ground.limits import (
    ACCOUNT_BYTES,
    CHECKPOINTS_PER_TRANSACTION_MAX,
    REGISTRARS_MAX,
    TOWER_REWARD_MAX,
    TRANSACTION_BYTES_MAX,
    VERSION,
)
from l1.ground.signing import Context, Purpose, Signer, open_signed, sign
from l1.rules.commitment import KeyNumber, Opening, Side, Signed
from l1.rules.evidence import Evidence, Shown
from l1.rules.genesis import Parameters

__all__ = [
    "CHANNEL",
    "KEY_KINDS",
    "RECOVERY",
    "ROOT",
    "SEALING",
    "TLS",
    "Action",
    "Admit",
    "Challenge",
    "Checkpoint",
    "ChannelHeads",
    "Close",
    "CloseTogether",
    "Delegate",
    "Demand",
    "Deposit",
    "Ended",
    "Open",
    "RegisterKey",
    "Report",
    "ResumeChannel",
    "Reveal",
    "RevokeKey",
    "Secret",
    "SetParameters",
    "Settle",
    "SignedTransaction",
    "Transaction",
    "Transfer",
    "account_of",
    "admission_words",
    "decode_transaction",
    "key_words",
    "open_transaction",
    "sign_transaction",
    "transaction_id",
]

ROOT, CHANNEL, TLS, SEALING, RECOVERY = range(5)
KEY_KINDS = {"root": ROOT, "channel": CHANNEL, "tls": TLS, "sealing": SEALING, "recovery": RECOVERY}
"""Root, channel and recovery keys are secp256k1 points (33 bytes); a TLS key is the SHA-256 fingerprint of a
certificate in DER, a sealing key an X25519 public key (32 bytes each)."""

KeyKind = Annotated[int, Meta(ge=0, le=4)]
AnyKey = Annotated[bytes, Meta(min_length=32, max_length=33)]
Endpoint = Annotated[str, Meta(min_length=3, max_length=255, pattern=r"^[^\s/]+:[0-9]{1,5}$")]


class Admit(Shape, frozen=True, tag=1):
    """A registrar admits a hospital: its name, the host:port of its secure line, its first four keys.

    They get the numbers 0 (root), 1 (channel), 2 (TLS), 3 (sealing). `possession` is the root key's signature (purpose
    KEY, context of the chain) over `admission_words`.
    """

    name: Name
    endpoint: Endpoint
    root: KeyBytes
    channel: KeyBytes
    tls: Digest
    sealing: Digest
    possession: SignatureBytes


class RegisterKey(Shape, frozen=True, tag=2):
    """The root key adds a key. A new root key waits one key window and can be vetoed by the recovery key.

    `possession` is the new key's own signature (purpose KEY, context of the chain) over `key_words`; None for TLS and
    sealing keys, which sign nothing here.
    """

    hospital: AccountId
    kind: KeyKind
    key: AnyKey
    valid_from_ms: TimeMs
    valid_until_ms: TimeMs
    possession: SignatureBytes | None


class RevokeKey(Shape, frozen=True, tag=3):
    """The root key ends a key; the recovery key may revoke a root key that still waits (the veto).

    `compromised_since_ms` is for auditors: L1 never judges by a date that a signer declares.
    """

    hospital: AccountId
    number: KeyNumber
    compromised_since_ms: TimeMs | None


class Transfer(Shape, frozen=True, tag=4):
    to: AccountId
    amount: Credits


class Open(Shape, frozen=True, tag=5):
    """Both hospitals' root keys signed the opening (purpose OPENING, context of the chain)."""

    opening: Opening
    signatures: tuple[SignatureBytes, SignatureBytes]


class Deposit(Shape, frozen=True, tag=6):
    """The hospital of the asking key adds to its own side's deposit, paid by the asking key's account.

    A root key pays out of its hospital's account; a channel key out of its own, so that a thief of the hot key cannot
    lock up what the hospital owns.
    """

    channel: ChannelId
    amount: Credits


class ChannelHeads(Shape, frozen=True):
    """Commitments of one channel, of either side, that settle heads: a head counts when both sides signed it."""

    channel: ChannelId
    commitments: Annotated[tuple[Signed, ...], Meta(min_length=2, max_length=4)]


class Checkpoint(Shape, frozen=True, tag=7):
    heads: Annotated[tuple[ChannelHeads, ...], Meta(min_length=1, max_length=CHECKPOINTS_PER_TRANSACTION_MAX)]


class CloseTogether(Shape, frozen=True, tag=8):
    """The final commitments of side 0 and 1 and both sides' signatures (purpose CLOSING). A log in which nothing was
    ever written has a final commitment too: of size 0 and the empty root."""

    channel: ChannelId
    finals: tuple[Signed, Signed]
    closings: tuple[Signed, Signed]


class Close(Shape, frozen=True, tag=9):
    """The side of the asking key closes alone: its own newest commitment and the newest of the peer that it holds.

    None says: nothing newer than what L1 has settled (at first the empty log).
    A `lost` closer posts no commitment of its own; the window doubles and stale close cannot be claimed.
    """

    channel: ChannelId
    own: Signed | None
    peer: Signed | None
    lost: bool


class Challenge(Shape, frozen=True, tag=10):
    """Anyone shows a newer commitment of either side while the window is open."""

    channel: ChannelId
    side: Side
    commitment: Signed


class Report(Shape, frozen=True, tag=11):
    """Anyone proves misconduct of a side. Who is accused, and of what, follows from the evidence."""

    channel: ChannelId
    evidence: Evidence


class ResumeChannel(Shape, frozen=True, tag=12):
    """The side that resumed shows the resume its peer signed."""

    channel: ChannelId
    resume: Signed


class Demand(Shape, frozen=True, tag=13):
    """A recipient asks on the chain for the secret of a grant, of which it shows its receipt, and its `pay` where the
    grant has a fee, in the tree of its own commitment; and the grant in the tree of the custodian's."""

    channel: ChannelId
    commitment: Signed
    receipt: Shown
    pay: Shown | None
    custodian: Signed
    grant: Shown


class Secret(Shape, frozen=True, tag=1):
    """The secret whose SHA-256 is the grant's lock. Whoever reads it learns nothing: it unwraps a key that only the
    recipient holds wrapped."""

    secret: Digest


class Ended(Shape, frozen=True, tag=2):
    """The grant or its consent ended: a `revoke` or `withdraw` in the tree of the custodian's commitment."""

    commitment: Signed
    ending: Shown


class Reveal(Shape, frozen=True, tag=14):
    """Anyone answers a demand. `side` is the custodian's."""

    channel: ChannelId
    side: Side
    grant: Size
    answer: Secret | Ended


class Settle(Shape, frozen=True, tag=15):
    """Anyone ends a channel whose window is over, or decides the claims in it whose window is."""

    channel: ChannelId


Reward = Annotated[int, Meta(ge=0, le=TOWER_REWARD_MAX)]
"""A watchtower's share of a bond that its challenge forfeits, per mille."""


class Delegate(Shape, frozen=True, tag=16):
    """A root key names a watchtower for all channels of its hospital: the account that a reward goes to, and its share.

    None ends it.
    """

    hospital: AccountId
    tower: AccountId
    reward: Reward | None


class SetParameters(Shape, frozen=True, tag=17):
    """More than half of the registrars change what the chain lives by. Each approval is a registrar's key and its
    signature (purpose PARAMETERS, context of the chain) over the canonical parameters."""

    parameters: Parameters
    approvals: Annotated[tuple[tuple[KeyBytes, SignatureBytes], ...], Meta(min_length=1, max_length=REGISTRARS_MAX)]


Action = (
    Admit
    | RegisterKey
    | RevokeKey
    | Transfer
    | Open
    | Deposit
    | Checkpoint
    | CloseTogether
    | Close
    | Challenge
    | Report
    | ResumeChannel
    | Demand
    | Reveal
    | Settle
    | Delegate
    | SetParameters
)


class Transaction(Shape, frozen=True):
    version: int
    chain: Digest
    key: KeyBytes
    nonce: Annotated[int, Meta(ge=0, le=2**53)]
    action: Action

    BYTES_MAX: ClassVar[int] = TRANSACTION_BYTES_MAX


class SignedTransaction(Shape, frozen=True):
    body: bytes
    signature: SignatureBytes


_decode_signed = decoder(SignedTransaction, bytes_max=TRANSACTION_BYTES_MAX, what="transaction")
_decode_body = decoder(Transaction, bytes_max=TRANSACTION_BYTES_MAX, what="transaction")


def account_of(key: bytes) -> bytes:
    """The account of a public key: 20 bytes."""
    return tagged_digest(b"account", key)[:ACCOUNT_BYTES]


def admission_words(*, name: str, endpoint: str, root: bytes, channel: bytes, tls: bytes, sealing: bytes) -> bytes:
    """What a hospital's root key signs (purpose KEY) for its admission."""
    return encode([name, endpoint, root, channel, tls, sealing])


def key_words(*, hospital: bytes, kind: int, key: bytes) -> bytes:
    """What a new root, channel or recovery key signs (purpose KEY) to show that it is held."""
    return encode([hospital, kind, key])


def transaction_id(signed: bytes) -> bytes:
    """The name of a transaction: the digest of its canonical signed bytes. Its leaf in the block is those bytes."""
    return digest(signed)


def sign_transaction(signer: Signer, chain: bytes, nonce: int, action: Action) -> bytes:
    """The canonical signed bytes, ready to submit."""
    body = encode(Transaction(version=VERSION, chain=chain, key=signer.public_key, nonce=nonce, action=action))
    signature = sign(signer, Purpose.TRANSACTION, Context(chain=chain), body)
    return encode(SignedTransaction(body=body, signature=signature))


def decode_transaction(data: bytes, chain: bytes) -> tuple[Transaction, SignedTransaction]:
    """The transaction without a look at its signature. Raises `Refused`."""
    signed: SignedTransaction = _decode_signed(data)
    transaction: Transaction = _decode_body(signed.body)
    require(transaction.version == VERSION, Fault.WRONG_VERSION, f"version {transaction.version}")
    require(transaction.chain == chain, Fault.WRONG_CHAIN, "the transaction is meant for another chain")
    return transaction, signed


def open_transaction(data: bytes, chain: bytes) -> Transaction:
    """The transaction, known to be its key's own. Raises `Refused`."""
    transaction, signed = decode_transaction(data, chain)
    open_signed(transaction.key, Purpose.TRANSACTION, Context(chain=chain), signed.body, signed.signature)
    return transaction
