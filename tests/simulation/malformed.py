"""Messages that no core sends: every kind, changed in one place, and signed all the same where a signature belongs.

A peer that gets one must end in a value: a named fault of whoever sent it, or nothing at all. Bytes are turned over,
cut and added; a field gets another value or another type; entries that do not decode stand under a root that is right.
"""

from random import Random
from typing import Any

import msgspec

from l1.ground.codec import encode
from l1.ground.faults import Refused
from l1.ground.limits import HASH_BYTES
from l1.ground.signing import Purpose, sign
from l1.rules.commitment import Commitment, Resume, Signed, decode_commitment, sign_shape
from l1.rules.log.leaves import cut_parts, decode_parts, join_parts, leaf_hashes
from l2.protocol.batch import decode_batch, encode_batch
from l2.protocol.channel import Channel
from l2.protocol.events import MessageReceived
from l2.protocol.messages import (
    ClosingAgreed,
    Message,
    Reestablish,
    ResumeAsk,
    ResumeGiven,
    Shutdown,
    decode_reestablish,
)
from tests.simulation.genuine import SimKey

__all__ = ["any_of", "bytes_changed", "malform", "other_heads", "other_resume", "size_of", "words_changed"]

Key = tuple[int, SimKey]

_SIGNED = {
    Message.BATCH: Purpose.COMMITMENT,
    Message.GIVEN_BACK: Purpose.COMMITMENT,
    Message.SHUTDOWN: Purpose.COMMITMENT,
    Message.RESUME_GIVEN: Purpose.RESUME,
    Message.CLOSING: Purpose.CLOSING,
}
_ODD_VALUES: tuple[Any, ...] = (
    0,
    1,
    -1,
    2**31,
    2**63 - 1,
    2**64 - 1,
    None,
    True,
    b"",
    b"\0" * 32,
    "text",
    [],
    [[]],
    {},
)


def malform(rng: Random, channel: Channel, key: Key, kept: list[MessageReceived]) -> MessageReceived:
    """One of them. `kept`: messages that went over this line before, newest last."""
    kind = rng.choice([*Message, rng.randrange(256)])
    payload = _genuine(rng, channel, key, kind, kept)
    match rng.randrange(4):
        case 0:
            payload = bytes_changed(rng, payload)
        case 1 if kind == Message.BATCH:
            payload = _undecodable_entries(rng, channel, key, payload)
        case _:
            payload = _field_changed(rng, channel, key, kind, payload)
    return MessageReceived(int(kind), payload)


def _genuine(rng: Random, channel: Channel, key: Key, kind: int, kept: list[MessageReceived]) -> bytes:
    """A message of that kind as it might be, to begin with."""
    found = [each.payload for each in kept if each.type == kind]
    if found:
        return rng.choice(found[-8:])
    own, peer, (number, signer) = channel.own, channel.peer, key
    final = own.signed or Signed(body=b"", key=number, signature=bytes(64))
    match kind:
        case Message.REESTABLISH:
            roots = own.frontier.root(), peer.frontier.root()
            sizes = {"own_size": own.size, "peer_size": peer.size, "floor": channel.row.peer_floor}
            return encode(Reestablish(own_root=roots[0], peer_root=roots[1], **sizes))
        case Message.RESUME_ASK:
            return encode(ResumeAsk(height=channel.height))
        case Message.SHUTDOWN:
            return encode(Shutdown(final=final))
        case Message.CLOSING:
            return encode(ClosingAgreed(closing=final))
        case Message.RESUME_GIVEN:
            resume = Resume(
                version=1, chain=channel.context.chain, channel=channel.id, side=1 - channel.side,
                height=channel.height, size=peer.size, root=peer.frontier.root(),
            )  # fmt: skip
            signed = sign_shape(signer, number, Purpose.RESUME, channel.context, resume)
            return encode(ResumeGiven(resume=signed))
        case _:
            return encode_batch(b"\x90", b"\x90", final)


def bytes_changed(rng: Random, payload: bytes) -> bytes:
    """Bytes turned over, cut, added, repeated, or nested without end."""
    data = bytearray(payload or b"\0")
    match rng.randrange(5):
        case 0:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 1:
            del data[rng.randrange(len(data)) :]
        case 2:
            data += rng.randbytes(rng.randint(1, 9))
        case 3:
            at = rng.randrange(len(data))
            data[at:at] = data[rng.randrange(len(data)) :][:40]
        case _:
            data = bytearray(b"\x91" * rng.choice((10, 2_000, 100_000)))  # nested without end
    return bytes(data)


def _field_changed(rng: Random, channel: Channel, key: Key, kind: int, payload: bytes) -> bytes:
    """Another value in one place; within what is signed too, and then signed anew."""
    try:
        message = msgspec.msgpack.decode(payload)
    except (msgspec.DecodeError, ValueError):
        return bytes_changed(rng, payload)
    purpose = _SIGNED.get(Message(kind)) if kind in set(Message) else None
    signed = None if purpose is None else _signed_part(message)
    if signed is not None and purpose is not None and rng.random() < 0.7:
        body = msgspec.msgpack.decode(signed[0]) if signed[0] else []
        signed[0] = msgspec.msgpack.encode(_changed(rng, body))
        signed[1], signed[2] = key[0], sign(key[1], purpose, channel.context, signed[0])
    else:
        message = _changed(rng, message)
    return msgspec.msgpack.encode(message)


def _signed_part(message: Any) -> list[Any] | None:
    """Body, key and signature, wherever they stand in it."""
    parts = message if isinstance(message, list) else []
    for part in (message, *parts):
        if isinstance(part, list) and len(part) == 3 and isinstance(part[0], bytes) and isinstance(part[1], int):
            return part
    return None


def _changed(rng: Random, value: Any) -> Any:
    """The same with something else in one place."""
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        match rng.randrange(8):
            case 0:
                return [*value[:at], *value[at + 1 :]]
            case 1:
                return [*value, value[at]]
            case _:
                return [*value[:at], _changed(rng, value[at]), *value[at + 1 :]]
    if isinstance(value, bytes) and value and rng.random() < 0.5:
        return bytes_changed(rng, value)[:5_000]
    if isinstance(value, int) and rng.random() < 0.5:
        return max(0, value + rng.choice((-100, -1, 1, 100)))
    return rng.choice(_ODD_VALUES)


def _undecodable_entries(rng: Random, channel: Channel, key: Key, payload: bytes) -> bytes:
    """The next batch of the log, root and signature right, whose entries are none or others than they say."""
    try:
        batch = decode_batch(payload)
        decode_parts(batch.publics, batch.privates)
    except Refused:  # what was kept may itself be malformed
        return payload
    each = cut_parts(batch.publics, batch.privates)
    parts = rng.choice(each)
    at = rng.randrange(len(parts))
    parts[at] = bytes_changed(rng, parts[at])[:300]
    publics, privates = join_parts(*each)
    salts = channel.readers[channel.side].salts.span(channel.own.size, batch.size)
    try:
        leaves = leaf_hashes(publics, privates, salts)
    except ValueError:  # no parts any more, whose hashes nobody can name
        leaves = [rng.randbytes(HASH_BYTES) for _ in range(batch.size)]
    frontier, _ = channel.own.frontier.extend(leaves)
    seen = (channel.fold.logs[channel.side].seen, channel.peer.frontier.root())
    number, signer = key
    spent = channel.fold.logs[channel.side].spent
    said = channel.sign_commitment(channel.commitment_to(frontier, frontier.root(), spent, seen))
    signature = sign(signer, Purpose.COMMITMENT, channel.context, said.body)
    return encode_batch(publics, privates, Signed(body=said.body, key=number, signature=signature))


def other_heads(rng: Random, payload: bytes) -> bytes:
    """A `reestablish` that lies about one of the heads."""
    said: Reestablish = decode_reestablish(payload)
    field = rng.choice(("own_size", "peer_size", "own_root", "peer_root"))
    if field.endswith("root"):
        return encode(msgspec.structs.replace(said, **{field: rng.randbytes(32)}))
    size = max(0, getattr(said, field) + rng.choice((-1, 1, -10, 10, -1000)))
    return encode(msgspec.structs.replace(said, **{field: size}))


def words_changed(rng: Random, words: list[Signed], side: int) -> Signed:
    """One of these; in half of all cases it says more, in the name of that side, and nobody signed that."""
    word = rng.choice(words)
    if rng.random() < 0.5:
        return word
    said = decode_commitment(word.body)
    more = msgspec.structs.replace(said, side=side, size=said.size + rng.randint(0, 99), spent=said.spent + 1)
    return Signed(body=encode(more), key=word.key, signature=word.signature)


def any_of(rng: Random, words: list[Signed]) -> Signed | None:
    """One of these, or none."""
    return rng.choice([None, *words]) if words else None


def other_resume(rng: Random, resume: Resume, older: list[Commitment], kind: int) -> Resume:
    """One that names an older head, a greater size, another root or another height."""
    match kind:
        case 0 if older:
            head = rng.choice(older)
            return msgspec.structs.replace(resume, size=head.size, root=head.root)
        case 1:
            return msgspec.structs.replace(resume, size=resume.size + rng.randint(1, 50))
        case 2:
            return msgspec.structs.replace(resume, root=rng.randbytes(32))
        case 3:
            height = max(0, resume.height + rng.choice((-1, 1, 100)))
            return msgspec.structs.replace(resume, height=height)
        case _:
            return resume


def size_of(signed: Signed) -> int:
    return decode_commitment(signed.body).size
