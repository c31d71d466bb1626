"""Makes `bodies.json`: bodies to the byte, and what is wrong with each way to tamper with a chunk.
`python -m tests.vectors.bodies` writes it.

Keys, salts and contents are SHAKE-128 of their names, so every byte is the same wherever it is made. Contents are such
as nothing shrinks: what zstd makes of others may change with its version, and is no part of the format.
"""

import json
from collections.abc import Callable
from hashlib import sha256, shake_128
from pathlib import Path
from typing import Any

from l1.ground.faults import Refused
from l1.ground.merkle import root_of
from l2.records import body
from l2.records.cipher import BodyCipher
from l2.records.keys import grant_keys, key_digest, lock_of, release_secret
from l2.records.limits import CHUNK_BYTES, SEALED_CHUNK_BYTES
from l2.records.packing import HEAD_BYTES

__all__ = ["FILE", "TAMPERS", "make", "named", "open_all", "seal"]

FILE = Path(__file__).with_name("bodies.json")
CHAIN, CHANNEL, SEED = (shake_128(name).digest(32) for name in (b"chain", b"channel", b"seed"))
SHOWN_BYTES = 96

SIZES = {
    "no content at all": 0,
    "a lab result": 1_900,
    "one chunk, full": CHUNK_BYTES - HEAD_BYTES,
    "a byte in a second chunk": CHUNK_BYTES - HEAD_BYTES + 1,
    "three chunks and a bit": 3 * CHUNK_BYTES,
    "a run of sixteen chunks and two": 17 * CHUNK_BYTES + 5,
}
TAMPERED = "three chunks and a bit"

Chunks = list[bytes]
TAMPERS: dict[str, Callable[[Chunks], Chunks]] = {
    "flip a bit of a chunk": lambda c: [c[0], bytes([c[1][0] ^ 1]) + c[1][1:], *c[2:]],
    "flip a bit of a tag": lambda c: [c[0], c[1][:-1] + bytes([c[1][-1] ^ 128]), *c[2:]],
    "swap two": lambda c: [c[1], c[0], *c[2:]],
    "drop the first": lambda c: c[1:],
    "drop the last": lambda c: c[:-1],
    "repeat one": lambda c: [c[0], c[0], *c[1:]],
    "truncate the last by a byte": lambda c: [*c[:-1], c[-1][:-1]],
    "append one": lambda c: [*c, c[-1]],
    "append a byte": lambda c: [*c[:-1], c[-1] + b"\x00"],
}


def named(name: str, size: int) -> bytes:
    """Bytes that follow from a name."""
    return shake_128(name.encode()).digest(size)


def seal(content: bytes, key: bytes, salt: bytes, place: bytes) -> Chunks:
    """The ciphertext chunks of a body."""
    return list(body.seal_chunks([body.pack(content, salt)], BodyCipher(key, place)))


def open_all(ciphertext: bytes, cipher_size: int, key: bytes, place: bytes, digest: bytes) -> bytes:
    """The content of a ciphertext that comes in whole chunks. Raises `Refused`."""
    cut = [ciphertext[at : at + SEALED_CHUNK_BYTES] for at in range(0, len(ciphertext), SEALED_CHUNK_BYTES)]
    return b"".join(body.open_body(cut, cipher_size, BodyCipher(key, place), digest, sha256()))


def _fault_of(work: Callable[[], object]) -> int:
    try:
        work()
    except Refused as refused:
        return int(refused.fault)
    raise AssertionError("nothing was refused")


def _whole(case: str, size: int) -> dict[str, Any]:
    record_key, nonce, content = named("record key", 32), named(f"nonce of {case}", 16), named(case, size)
    key, salt = grant_keys(record_key, nonce)
    secret = release_secret(SEED, CHAIN, CHANNEL, key_digest(key))
    place = body.place_of(CHAIN, CHANNEL, lock_of(secret))
    chunks = seal(content, key, salt, place)
    hashes = [body.chunk_hash(chunk) for chunk in chunks]
    return {
        "case": case,
        "rules": ["BODY-1", "BODY-2", "BODY-3", "BODY-4", "BODY-5", "BODY-8", "LOCK-3", "LOCK-4", "LOCK-5"],
        "record_key": record_key.hex(),
        "nonce": nonce.hex(),
        "seed": SEED.hex(),
        "chain": CHAIN.hex(),
        "channel": CHANNEL.hex(),
        "content_bytes": size,  # SHAKE-128 of the case's name
        "key": key.hex(),
        "salt": salt.hex(),
        "key_digest": key_digest(key).hex(),
        "secret": secret.hex(),
        "lock": lock_of(secret).hex(),
        "place": place.hex(),
        "content": body.content_digest(salt, sha256(content).digest()).hex(),
        "cipher_size": sum(map(len, chunks)),
        "cipher_root": root_of(hashes).hex(),
        "hashes": [one.hex() for one in hashes],
        "begins": chunks[0][:SHOWN_BYTES].hex(),
        "ends": chunks[-1][-SHOWN_BYTES:].hex(),
    }


def _tampered(tamper: str, whole: dict[str, Any]) -> dict[str, Any]:
    key, salt, place, digest = (bytes.fromhex(whole[name]) for name in ("key", "salt", "place", "content"))
    chunks = TAMPERS[tamper](seal(named(TAMPERED, whole["content_bytes"]), key, salt, place))
    size, root = whole["cipher_size"], bytes.fromhex(whole["cipher_root"])
    opened = _fault_of(lambda: open_all(b"".join(chunks), size, key, place, digest))
    hashed = _fault_of(lambda: body.check_hashes(b"".join(map(body.chunk_hash, chunks)), size, root))
    return {"case": tamper, "of": TAMPERED, "rules": ["BODY-3", "PULL-4"], "opened": opened, "hashes": hashed}


def make() -> dict[str, Any]:
    """What the file holds."""
    whole = [_whole(case, size) for case, size in SIZES.items()]
    tampered = next(one for one in whole if one["case"] == TAMPERED)
    return {"bodies": whole, "tampers": [_tampered(tamper, tampered) for tamper in TAMPERS]}


if __name__ == "__main__":
    FILE.write_text(json.dumps(make(), indent=1) + "\n")
