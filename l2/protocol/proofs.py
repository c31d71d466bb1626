"""Proofs that one entry stands in a channel's log, for an auditor who has neither hospital's data.

A proof carries the entry, its audit path, the writer's commitment over the tree that holds it, and a commitment of the
peer that saw exactly that head: both hospitals signed for it. Where the chain has settled another head of the same
log, the writer's commitment over that head and a consistency proof tie the two together.

It shows that the entry was written, when and by whom, and that the peer had it; whether it is in force is a question
to the whole logs (`fold`). It knows no files and no chain: the caller brings the registry and the channel's row, which
it has verified. Rules PROOF-1 to PROOF-8 of docs/spec/commitments.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, LocalError, Refused, require
from l1.ground.fields import ChannelId, Digest, Size
from l1.ground.hashing import digest
from l1.ground.limits import EVIDENCE_BYTES_MAX, PROOF_HASHES_MAX, VERSION
from l1.ground.merkle import consistency_proof, inclusion_proof, verify_consistency, verify_inclusion
from l1.ground.signing import Context
from l1.rules import state as l1_state
from l1.rules.commitment import Commitment, Head, Side, Signed, channel_id, decode_commitment, open_commitment, other
from l1.rules.log.entries import Entry, Terms
from l1.rules.log.leaves import Hidden, Opened, Part, leaf_of, read_parts
from l1.rules.transactions import CHANNEL
from l2.protocol.channel import Channel, commitment_at

__all__ = ["EntryProof", "Verified", "build_proof", "decode_proof", "prove_entry", "verify_entry_proof"]

_Hashes = Annotated[tuple[Digest, ...], Meta(max_length=2 * PROOF_HASHES_MAX)]


class EntryProof(Shape, frozen=True):
    """The proof. `private` is None for a kind that has no private part.

    `commitment` is the writer's, over a tree that holds the entry; `acknowledgement` the peer's, which saw that head.
    `anchor` is the writer's commitment over the head that the chain had settled, if that was another one, and
    `consistency` joins the smaller of the two trees to the larger.
    """

    version: int
    chain: Digest
    channel: ChannelId
    side: Side
    index: Size
    public: Part
    private: Opened | Hidden | None
    inclusion: _Hashes
    commitment: Signed
    acknowledgement: Signed
    anchor: Signed | None
    consistency: _Hashes


decode_proof = decoder(EntryProof, bytes_max=EVIDENCE_BYTES_MAX, what="entry proof")


@dataclass(frozen=True, slots=True)
class Verified:
    """What a proof proves. `terms` is None where there are none, or where they are not shown.

    `settled`: the head on the chain that the proof is tied to; None if the chain knows none, or only other ones.
    """

    side: int
    index: int
    writer: bytes
    peer: bytes
    entry: Entry
    terms: Terms | None
    head: Head
    settled: Head | None

    @property
    def kind(self) -> str:
        return type(self.entry).__name__.lower()


# -- building ---------------------------------------------------------------------------------------------------


def build_proof(channel: Channel, side: int, index: int, *, show_private: bool = True) -> EntryProof:
    """The proof for entry `index` of a side's log. Raises `LocalError` if there is no such entry, or none that both
    hospitals signed for yet."""
    if not 0 <= index < channel.heads[side].size:
        raise LocalError(f"the log has {channel.heads[side].size} entries, none is number {index}")
    settled = 0 if channel.l1 is None else channel.l1.sides[side].settled.size
    acknowledgement = _find_acknowledgement(channel, side, max(settled, index + 1), exactly=settled > index)
    acknowledgement = acknowledgement or _find_acknowledgement(channel, side, index + 1, exactly=False)
    if acknowledgement is None:
        raise LocalError("the other hospital has not acknowledged that entry yet", "try again once it has")
    size = decode_commitment(acknowledgement.body).seen_size
    reader = channel.readers[side]
    commitment = commitment_at(channel, side, size)
    assert commitment is not None, "an acknowledged head is one that its writer signed"
    public, private = reader.parts(index)
    anchor = None if settled == size else commitment_at(channel, side, settled)
    return EntryProof(
        version=VERSION,
        chain=channel.context.chain,
        channel=channel.id,
        side=side,
        index=index,
        public=public,
        private=_private(reader.salts.one(index), private, show=show_private),
        inclusion=tuple(inclusion_proof(reader.node, index, size)),
        commitment=commitment,
        acknowledgement=acknowledgement,
        anchor=anchor,
        consistency=tuple(consistency_proof(reader.node, *sorted((settled, size)))) if anchor else (),
    )


def prove_entry(
    channel: Channel, hospitals: tuple[l1_state.Hospital, l1_state.Hospital], side: int, index: int
) -> EntryProof:
    """[PROOF-8] The proof for an entry, verified as an auditor will, by the chain's rows as we know them.

    Raises `LocalError` like `build_proof`, and where what was built does not verify: it is not handed out.
    """
    if channel.l1 is None:
        raise LocalError("the chain has not shown this channel yet", "try again once it has")
    proof = build_proof(channel, side, index)
    try:
        shown = decode_proof(encode(proof))
        verify_entry_proof(shown, chain=channel.context.chain, l1_channel=channel.l1, hospitals=hospitals)
    except Refused as refused:
        cause = f"the proof that was made of entry {index} does not verify ({refused}), so it is not handed out"
        raise LocalError(cause, "Our store may be damaged: interward hospital doctor") from None
    return proof


def _private(salt: bytes, private: bytes, *, show: bool) -> Opened | Hidden | None:
    if not private:
        return None
    return Opened(salt=salt, private=private) if show else Hidden(digest=digest(salt + private))


def _find_acknowledgement(channel: Channel, side: int, size: int, *, exactly: bool) -> Signed | None:
    """The first commitment of the other side that saw at least `size` entries of this log (or exactly so many).

    `seen_size` never falls along a log, so a bisection over the other log's entries finds it.
    """
    reader = channel.readers[other(side)]
    low, high = 0, channel.heads[other(side)].size
    found: Signed | None = None
    while low < high:
        first = reader.first_of((low + high) // 2)
        batch = reader.message(first)
        if decode_commitment(batch.commitment.body).seen_size >= size:
            found, high = batch.commitment, first
        else:
            low = first + batch.size
    if found is None or (exactly and decode_commitment(found.body).seen_size != size):
        return None
    return found


# -- verifying --------------------------------------------------------------------------------------------------


def verify_entry_proof(
    proof: EntryProof,
    *,
    chain: bytes,
    l1_channel: l1_state.Channel,
    hospitals: tuple[l1_state.Hospital, l1_state.Hospital],
) -> Verified:
    """What the proof proves. `l1_channel` and `hospitals` (side 0, side 1) are the chain's own rows, verified.

    Raises `Refused` on any deviation.
    """
    _check_place(proof, chain, l1_channel, hospitals)
    entry, terms = read_parts(proof.public, proof.private)  # [PROOF-2]
    commitment = _open(proof, proof.commitment, proof.side, hospitals)
    seen = _open(proof, proof.acknowledgement, other(proof.side), hospitals)
    # [PROOF-3] A head counts when both signed it: nobody is held to a head that it alone has seen.
    require(seen.seen == commitment.head, Fault.NOT_SETTLED_HEAD, "the peer's commitment saw another head")
    leaf = leaf_of(proof.public, proof.private)
    verify_inclusion(leaf, proof.index, commitment.size, proof.inclusion, commitment.root)
    return Verified(
        side=proof.side,
        index=proof.index,
        writer=hospitals[proof.side].id,
        peer=hospitals[other(proof.side)].id,
        entry=entry,
        terms=terms,
        head=commitment.head,
        settled=_settled(proof, commitment.head, l1_channel, hospitals),
    )


def _check_place(
    proof: EntryProof,
    chain: bytes,
    l1_channel: l1_state.Channel,
    hospitals: tuple[l1_state.Hospital, l1_state.Hospital],
) -> None:
    """[PROOF-1] Of this version, for this chain, and for the channel that the chain knows under that name."""
    require(proof.version == VERSION, Fault.WRONG_VERSION, f"a proof of version {proof.version}")
    require(proof.chain == chain, Fault.WRONG_CHAIN, "the proof is about another chain")
    require(proof.channel == l1_channel.id, Fault.WRONG_CHANNEL, "the proof is about another channel")
    opening = l1_channel.opening
    require(channel_id(opening) == l1_channel.id, Fault.WRONG_CHANNEL, "the channel's row names another channel")
    same = (hospitals[0].id, hospitals[1].id) == opening.hospitals
    require(same, Fault.UNKNOWN_HOSPITAL, "the hospitals are not the channel's own")


def _open(
    proof: EntryProof, signed: Signed, side: int, hospitals: tuple[l1_state.Hospital, l1_state.Hospital]
) -> Commitment:
    """[PROOF-4] Signed by any channel key that the side's hospital ever registered: an audit is not a judgement."""
    key = hospitals[side].key(signed.key)
    if key is None or key.kind != CHANNEL:
        raise Refused(Fault.UNKNOWN_KEY, f"key {signed.key} is no channel key of side {side}")
    commitment = open_commitment(signed, Context(chain=proof.chain, channel=proof.channel), key.key)
    require(commitment.side == side, Fault.BAD_PROOF, f"the commitment is not of side {side}")
    return commitment


def _settled(
    proof: EntryProof,
    head: Head,
    l1_channel: l1_state.Channel,
    hospitals: tuple[l1_state.Hospital, l1_state.Hospital],
) -> Head | None:
    """[PROOF-5] The chain's head of this log that the proof is tied to; [PROOF-6] and none that it contradicts."""
    heads = [head]
    if proof.anchor is None:
        require(not proof.consistency, Fault.BAD_PROOF, "a consistency proof that joins nothing")
    else:
        anchor = _open(proof, proof.anchor, proof.side, hospitals).head
        smaller, larger = sorted((anchor, head), key=lambda each: each.size)
        require(smaller.size < larger.size, Fault.BAD_PROOF, "the anchor is no other head")
        verify_consistency(smaller.size, larger.size, smaller.root, larger.root, proof.consistency)
        heads.append(anchor)
    state = l1_channel.sides[proof.side]
    _check_no_fork(heads, (state.settled, state.posted))
    return next((known for known in (state.settled, state.posted) if known in heads), None)


def _check_no_fork(heads: Sequence[Head], known: Sequence[Head]) -> None:
    for head in heads:
        forks = any(head.size == each.size and head.root != each.root for each in known)
        require(not forks, Fault.EQUIVOCATION, f"the chain knows another head of {head.size} entries")
