"""The file form of an entry proof: JSON that people can read, with one spelling, so that no bit of it can change.

The fields are those of `EntryProof`, bytes as lower hex. Reading builds the proof, writes it again and compares the
whole text. Source: docs/spec/commitments.md, PROOF-7.
"""

import json
from typing import Any

import msgspec

from l1.ground.codec import encode
from l1.ground.faults import Fault, Refused, require
from l1.ground.limits import EVIDENCE_BYTES_MAX
from l1.rules.commitment import Signed
from l1.rules.log.leaves import Hidden, Opened
from l2.protocol.proofs import EntryProof, decode_proof

__all__ = ["proof_fields", "proof_from_json", "proof_to_json"]

FORMAT = "interward entry proof"
_TEXT_BYTES_MAX = 3 * EVIDENCE_BYTES_MAX  # hex doubles it; names and indents are the rest


class _Signed(msgspec.Struct, forbid_unknown_fields=True):
    body: str
    key: int
    signature: str


class _Private(msgspec.Struct, forbid_unknown_fields=True):
    salt: str | None = None
    content: str | None = None
    digest: str | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    version: int
    chain: str
    channel: str
    side: int
    index: int
    public: str
    private: _Private | None
    inclusion: list[str]
    commitment: _Signed
    acknowledgement: _Signed
    anchor: _Signed | None
    consistency: list[str]


_decode_file = msgspec.json.Decoder(_File).decode


def proof_fields(proof: EntryProof) -> dict[str, Any]:
    """The proof as JSON fields, in the order of the file."""
    return {
        "format": FORMAT,
        "version": proof.version,
        "chain": proof.chain.hex(),
        "channel": proof.channel.hex(),
        "side": proof.side,
        "index": proof.index,
        "public": proof.public.hex(),
        "private": _private_fields(proof.private),
        "inclusion": [each.hex() for each in proof.inclusion],
        "commitment": _signed_fields(proof.commitment),
        "acknowledgement": _signed_fields(proof.acknowledgement),
        "anchor": None if proof.anchor is None else _signed_fields(proof.anchor),
        "consistency": [each.hex() for each in proof.consistency],
    }


def _private_fields(private: Opened | Hidden | None) -> dict[str, str] | None:
    match private:
        case None:
            return None
        case Opened(salt=salt, private=content):
            return {"salt": salt.hex(), "content": content.hex()}
        case Hidden(digest=digest):
            return {"digest": digest.hex()}


def _signed_fields(signed: Signed) -> dict[str, Any]:
    return {"body": signed.body.hex(), "key": signed.key, "signature": signed.signature.hex()}


def proof_to_json(proof: EntryProof) -> str:
    """The text of a proof file."""
    return json.dumps(proof_fields(proof), indent=2) + "\n"


def proof_from_json(text: bytes) -> EntryProof:
    """The proof in a file; the end of its last line may be missing.

    Raises `Refused` (TOO_LARGE, MALFORMED, NOT_CANONICAL).
    """
    require(len(text) <= _TEXT_BYTES_MAX, Fault.TOO_LARGE, f"a proof file of {len(text)} bytes")
    try:
        proof = _proof(_decode_file(text))
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise Refused(Fault.MALFORMED, f"the file is not an entry proof ({error})") from None
    same = text.removesuffix(b"\n") == proof_to_json(proof).removesuffix("\n").encode()
    require(same, Fault.NOT_CANONICAL, "the proof file is not in the one form that a proof has")
    return proof


def _proof(file: _File) -> EntryProof:
    private: Opened | Hidden | None = None
    if file.private is not None and file.private.digest is not None:
        private = Hidden(digest=bytes.fromhex(file.private.digest))
    elif file.private is not None:
        private = Opened(salt=bytes.fromhex(file.private.salt or ""), private=bytes.fromhex(file.private.content or ""))
    proof = EntryProof(
        version=file.version,
        chain=bytes.fromhex(file.chain),
        channel=bytes.fromhex(file.channel),
        side=file.side,
        index=file.index,
        public=bytes.fromhex(file.public),
        private=private,
        inclusion=tuple(map(bytes.fromhex, file.inclusion)),
        commitment=_signed(file.commitment),
        acknowledgement=_signed(file.acknowledgement),
        anchor=None if file.anchor is None else _signed(file.anchor),
        consistency=tuple(map(bytes.fromhex, file.consistency)),
    )
    return decode_proof(encode(proof))  # lengths and ranges are the schema's affair


def _signed(file: _Signed) -> Signed:
    return Signed(body=bytes.fromhex(file.body), key=file.key, signature=bytes.fromhex(file.signature))
