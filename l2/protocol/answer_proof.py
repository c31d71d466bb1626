"""That a tower answered: its challenge, and the block that holds it, known by the authority's signature.

Who checks it needs the chain's genesis, and neither tower nor chain node. Pure. Source: docs/spec/tower.md.
"""

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

from msgspec import Meta

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, Refused, require
from l1.ground.fields import Digest
from l1.ground.limits import PROOF_HASHES_MAX, TRANSACTION_BYTES_MAX, VERSION
from l1.ground.merkle import Frontier, inclusion_proof, leaf_hash, verify_inclusion
from l1.rules.blocks import SignedHeader, open_header
from l1.rules.commitment import decode_commitment
from l1.rules.genesis import Genesis, chain_id
from l1.rules.transactions import Challenge, account_of, open_transaction

__all__ = ["Answered", "AnswerProof", "answer_prover", "check_answer", "decode_answer", "dump_answer", "load_answer"]


class AnswerProof(Shape, frozen=True):
    """A challenge in its block: the transaction's bytes, the block's signed header, an RFC 9162 inclusion proof."""

    version: int
    transaction: bytes
    header: SignedHeader
    index: int
    count: int
    path: Annotated[tuple[Digest, ...], Meta(max_length=PROOF_HASHES_MAX)]


class Answered(NamedTuple):
    """What a proof says: who showed which size of which side, in which block, and when on the chain's clocks."""

    tower: bytes
    channel: bytes
    side: int
    size: int
    height: int
    time_ms: int


decode_answer = decoder(AnswerProof, bytes_max=2 * TRANSACTION_BYTES_MAX, what="proof of an answer")


def answer_prover(header: SignedHeader, transactions: Sequence[bytes]) -> Callable[[int], AnswerProof]:
    """Of one block: a function from a transaction's index to its proof. The block is hashed once for all of them."""
    _, levels = Frontier().extend([leaf_hash(data) for data in transactions])

    def prove(index: int) -> AnswerProof:
        path = inclusion_proof(lambda level, at: levels[level][at], index, len(transactions))
        return AnswerProof(
            version=VERSION,
            transaction=transactions[index],
            header=header,
            index=index,
            count=len(transactions),
            path=tuple(path),
        )

    return prove


def check_answer(proof: AnswerProof, genesis: Genesis) -> Answered:
    """What the proof says. Raises `Refused` (BAD_SIGNATURE, BAD_PROOF, …) for one that proves nothing."""
    require(proof.version == VERSION, Fault.WRONG_VERSION, f"a proof of version {proof.version}")
    chain = chain_id(genesis)
    header = open_header(proof.header, chain, genesis.authority)
    leaf = leaf_hash(proof.transaction)  # a challenge that failed in its block has another leaf
    verify_inclusion(leaf, proof.index, proof.count, proof.path, header.transactions)
    asked = open_transaction(proof.transaction, chain)
    if not isinstance(asked.action, Challenge):
        raise Refused(Fault.EVIDENCE_PROVES_NOTHING, "the transaction is no challenge")
    shown = decode_commitment(asked.action.commitment.body)
    return Answered(
        tower=account_of(asked.key),
        channel=asked.action.channel,
        side=asked.action.side,
        size=shown.size,
        height=header.height,
        time_ms=header.time_ms,
    )


def dump_answer(proof: AnswerProof, genesis: Genesis) -> bytes:
    """The proof as a JSON file: what it says for people, `proof` for programs."""
    said = check_answer(proof, genesis)
    form: dict[str, Any] = {
        "interward": "proof of a tower's answer",
        "chain": chain_id(genesis).hex(),
        "tower": said.tower.hex(),
        "channel": said.channel.hex(),
        "side": said.side,
        "size": said.size,
        "height": said.height,
        "time_ms": said.time_ms,
        "proof": encode(proof).hex(),
    }
    return json.dumps(form, indent=2).encode() + b"\n"


def load_answer(data: bytes) -> AnswerProof:
    """The proof of a file; only its `proof` is read. Raises `Refused` (MALFORMED, …)."""
    try:
        proof: AnswerProof = decode_answer(bytes.fromhex(json.loads(data)["proof"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused(Fault.MALFORMED, f"this is no proof of an answer ({error})") from None
    return proof
