"""How two hospitals make themselves known on a fresh TLS connection. Pure: shapes, what is signed, what is checked.

The one that connects is speaker 0, the one that listens speaker 1. Each says `Hello`; then each proves with its channel
key that it said so on this very TLS connection: the proof covers both hellos (so both nonces, roles, chains) and
both certificates' fingerprints [a stolen TLS key alone gets nothing, and no proof can be relayed].
Source: docs/spec/line.md, rules LINE-7 to 12.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from msgspec import Meta

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, Refused, require
from l1.ground.fields import AccountId, Digest, SignatureBytes
from l1.ground.hashing import digest
from l1.ground.limits import VERSION
from l1.ground.signing import Context, Purpose, Signer, open_signed, sign
from l1.rules.blocks import SignedHeader
from l1.rules.commitment import KeyNumber
from l1.rules.keys import counting_keys, key_counts
from l1.rules.state import Hospital
from l1.rules.transactions import CHANNEL, TLS

__all__ = [
    "ALIVE",
    "HELLO",
    "HELLO_BYTES_MAX",
    "LINE_MESSAGES",
    "PROOF",
    "REFUSAL",
    "WELCOME",
    "Handshake",
    "Hello",
    "Proof",
    "Refusal",
    "Role",
    "check_counts",
    "check_proof",
    "check_registered",
    "decode_hello",
    "decode_proof",
    "decode_refusal",
    "make_proof",
]

HELLO = 250
PROOF = 252
WELCOME = 254
REFUSAL = 255  # why the sender closes; odd, since ignoring it changes nothing
ALIVE = 253  # nothing but that the sender is there: whoever does not know it passes over it, as over any odd type
LINE_MESSAGES = frozenset({HELLO, PROOF, WELCOME, REFUSAL})
"""Types 250 to 255 belong to the line; what runs over it has those below."""

HELLO_BYTES_MAX = 8 * 1024  # a certificate, a header, and little else
DETAIL_CHARS_MAX = 300


class Role(IntEnum):
    """What a line carries: batches of entries, or record bodies. Bodies have lines of their own."""

    CHANNEL = 0
    RECORDS = 1


class Hello(Shape, frozen=True):
    """Who speaks, to whom, on which chain, with which keys; and the newest header it has verified.

    `certificate` is the speaker's TLS certificate in DER; `key` the number of the channel key that will sign.
    """

    version: int
    chain: Digest
    hospital: AccountId
    peer: AccountId
    role: Annotated[int, Meta(ge=0, le=1)]
    nonce: Digest
    certificate: Annotated[bytes, Meta(min_length=1, max_length=4096)]
    key: KeyNumber
    header: SignedHeader


class Proof(Shape, frozen=True):
    signature: SignatureBytes


class Refusal(Shape, frozen=True):
    """The number of a fault, and a sentence."""

    fault: Annotated[int, Meta(ge=0, le=65_535)]
    detail: Annotated[str, Meta(max_length=DETAIL_CHARS_MAX)]

    @classmethod
    def of(cls, refused: Refused) -> "Refusal":
        return cls(fault=int(refused.fault), detail=refused.detail[:DETAIL_CHARS_MAX])


class _Transcript(Shape, frozen=True):
    version: int
    speaker: int
    hellos: tuple[Digest, Digest]
    fingerprints: tuple[Digest, Digest]


_decode = decoder(Hello, bytes_max=HELLO_BYTES_MAX, what="hello")
decode_proof = decoder(Proof, bytes_max=128, what="proof")
decode_refusal = decoder(Refusal, bytes_max=2048, what="refusal")


def decode_hello(payload: bytes, *, chain: bytes, me: bytes) -> Hello:
    """A hello that is meant for us. Who said it is still to be proved."""
    hello = _decode(payload)
    require(hello.version == VERSION, Fault.WRONG_VERSION, f"version {hello.version}; this program speaks {VERSION}")
    require(hello.chain == chain, Fault.WRONG_CHAIN, "the peer lives on another chain")
    require(hello.peer == me, Fault.UNKNOWN_PEER, "the hello is meant for another hospital")
    require(hello.hospital != me, Fault.UNKNOWN_PEER, "the hello comes from ourselves")
    return hello


def check_registered(hello: Hello, hospital: Hospital | None, clock_ms: int) -> bytes:
    """The speaker's channel key. Raises `Refused` (UNKNOWN_PEER) unless the registry knows it and both keys count."""
    if hospital is None or hospital.id != hello.hospital:
        raise Refused(Fault.UNKNOWN_PEER, "the registry does not know this hospital")
    check_counts(hospital, hello.key, digest(hello.certificate), clock_ms)
    return hospital.keys[hello.key].key


def check_counts(hospital: Hospital, number: int, fingerprint: bytes, clock_ms: int) -> None:
    """Raise `Refused` (UNKNOWN_PEER) unless this channel key and this certificate of the hospital count now.

    Asked at the hello, and again whenever the hospital's registry changes: a revoked key's live lines are cut.
    """
    counts = key_counts(hospital, number, CHANNEL, clock_ms)
    require(counts, Fault.UNKNOWN_PEER, f"channel key {number} does not count")
    certificates = {key.key for key in counting_keys(hospital, TLS, clock_ms)}
    require(fingerprint in certificates, Fault.UNKNOWN_PEER, "the certificate is not registered, or no longer counts")


@dataclass(frozen=True)
class Handshake:
    """What both must agree on: the hellos as they went over the line, and the fingerprints as each sees them on TLS.

    Both pairs stand in the order of the speakers.
    """

    chain: bytes
    hellos: tuple[bytes, bytes]
    fingerprints: tuple[bytes, bytes]

    def transcript(self, speaker: int) -> bytes:
        """What this speaker signs."""
        digests = (digest(self.hellos[0]), digest(self.hellos[1]))
        return encode(_Transcript(version=VERSION, speaker=speaker, hellos=digests, fingerprints=self.fingerprints))


def make_proof(signer: Signer, speaker: int, shake: Handshake) -> bytes:
    """The proof message of this speaker."""
    signature = sign(signer, Purpose.HELLO, Context(chain=shake.chain), shake.transcript(speaker))
    return encode(Proof(signature=signature))


def check_proof(payload: bytes, key: bytes, speaker: int, shake: Handshake) -> None:
    """Raise `Refused` unless the key signed these two hellos on a connection between these two certificates."""
    signature = decode_proof(payload).signature
    open_signed(key, Purpose.HELLO, Context(chain=shake.chain), shake.transcript(speaker), signature)
