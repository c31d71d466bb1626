"""A proof is accepted on its own, and refused after any single changed bit."""

import pytest
from msgspec.structs import replace

from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.hashing import digest
from l1.rules import state as l1_state
from l1.rules.commitment import EMPTY_HEAD, Head, decode_commitment
from l1.rules.log.entries import Access, Consent, Seen
from l1.rules.log.leaves import Hidden, cut_parts, join_parts
from l1.rules.transactions import CHANNEL, ROOT
from l2.protocol.batch import decode_batch, encode_batch
from l2.protocol.channel import commitment_at
from l2.protocol.proof_file import proof_from_json, proof_to_json
from l2.protocol.proofs import EntryProof, Verified, build_proof, prove_entry, verify_entry_proof
from l2.protocol.rows import batch_key
from tests.unit.l2.protocol.stories import access, access_terms, granted
from tests.unit.l2.protocol.world import CHAIN, KEYS, NOW_MS, OPENING, Pair

GRANT = 2  # where the first grant stands: after a consent and a `seen`


def hospital(side: int) -> l1_state.Hospital:
    def key(number: int, kind: int, content: bytes) -> l1_state.Key:
        return l1_state.Key(
            number=number,
            kind=kind,
            key=content,
            valid_from_ms=0,
            valid_until_ms=1,
            revoked_at_ms=2,  # expired and revoked: an audit does not mind
            compromised_since_ms=None,
        )

    keys = (key(0, ROOT, KEYS[side].public_key), key(1, CHANNEL, KEYS[side].public_key))
    return l1_state.Hospital(id=OPENING.hospitals[side], name="H", endpoint="h:1", keys=keys)


HOSPITALS = (hospital(0), hospital(1))


def row(pair: Pair, *, settled: Head = EMPTY_HEAD, posted: Head = EMPTY_HEAD) -> l1_state.Channel:
    """The channel's row on a chain that settled a head of side 1's log."""
    sides = (
        l1_state.SideState(deposit=1000, bond=500),
        l1_state.SideState(deposit=1000, bond=500, settled=settled, posted=posted),
    )
    return l1_state.Channel(
        id=pair.channels[0].id, opening=OPENING, opened_at=1, opened_at_ms=NOW_MS, phase=1, sides=sides
    )


def verify(proof: EntryProof, l1_channel: l1_state.Channel) -> Verified:
    return verify_entry_proof(proof, chain=CHAIN, l1_channel=l1_channel, hospitals=HOSPITALS)


def head(pair: Pair, size: int) -> Head:
    signed = commitment_at(pair.channels[1], 1, size)
    assert signed is not None
    return decode_commitment(signed.body).head


@pytest.fixture
def pair() -> Pair:
    """Side 1's log: `seen`, then accesses in batches of 30, each acknowledged."""
    pair = Pair()
    assert granted(pair, 3) == GRANT
    for _ in range(5):
        pair.append(1, [access(GRANT, 4)] * 30, [access_terms()] * 30)
        pair.settle()
    return pair


def prove(pair: Pair, index: int, l1_channel: l1_state.Channel | None = None, *, show: bool = True) -> EntryProof:
    """By side 0, the writer's peer."""
    pair.channels[0].l1 = l1_channel
    return build_proof(pair.channels[0], 1, index, show_private=show)


def ends(pair: Pair) -> list[int]:
    """The sizes at which side 1's batches end."""
    reader, at, sizes = pair.channels[1].readers[1], 0, []
    while at < pair.channels[1].own.size:
        at += reader.batch(at)[0].size
        sizes.append(at)
    return sizes


def test_every_entry_of_both_logs_is_proved(pair: Pair) -> None:
    for side in (0, 1):
        for index in range(pair.channels[side].acknowledged):
            proof = proof_from_json(proof_to_json(build_proof(pair.channels[0], side, index)).encode())
            verified = verify(proof, row(pair))
            entry, terms = pair.channels[1].readers[side].entry(index)
            assert (verified.entry, verified.terms, verified.settled) == (entry, terms, None)
            assert (verified.writer, verified.peer) == (OPENING.hospitals[side], OPENING.hospitals[1 - side])


def test_both_hospitals_build_the_same_proof(pair: Pair) -> None:
    assert build_proof(pair.channels[0], 1, 40) == build_proof(pair.channels[1], 1, 40)


def test_an_entry_below_the_settled_head_is_proved_in_that_head(pair: Pair) -> None:
    settled = head(pair, ends(pair)[3])
    proof = prove(pair, 40, row(pair, settled=settled))
    assert proof.anchor is None
    assert verify(proof, row(pair, settled=settled)).settled == settled


def test_an_entry_beyond_the_settled_head_is_tied_to_it(pair: Pair) -> None:
    settled = head(pair, ends(pair)[2])
    proof = prove(pair, ends(pair)[4] - 1, row(pair, settled=settled))
    assert proof.anchor is not None
    assert verify(proof, row(pair, settled=settled)).settled == settled


def test_a_settled_head_that_the_peer_never_saw_as_such_is_tied_by_consistency(pair: Pair) -> None:
    """The peer acknowledged two batches at once: the smaller head counts by the chain alone."""
    pair.append(1, [access(GRANT, 5)] * 1000, [access_terms()] * 1000)
    pair.append(1, [access(GRANT, 5)] * 1000, [access_terms()] * 1000)
    pair.settle()
    sizes = ends(pair)
    proofs = [prove(pair, 40, row(pair, settled=head(pair, size))) for size in sizes[3:]]
    for size, proof in zip(sizes[3:], proofs, strict=True):
        assert verify(proof, row(pair, settled=head(pair, size))).settled == head(pair, size)


def test_a_later_checkpoint_leaves_a_proof_standing_but_untied(pair: Pair) -> None:
    proof = prove(pair, 40, row(pair, settled=head(pair, ends(pair)[2])))
    assert verify(proof, row(pair, settled=head(pair, ends(pair)[4]))).settled is None


def test_a_posted_head_ties_too(pair: Pair) -> None:
    size = decode_commitment(build_proof(pair.channels[0], 1, 40).commitment.body).size
    proof = prove(pair, 40)
    assert verify(proof, row(pair, posted=head(pair, size))).settled == head(pair, size)


def test_a_chain_that_knows_another_root_refuses(pair: Pair) -> None:
    proof = prove(pair, 40)
    size = decode_commitment(proof.commitment.body).size
    with pytest.raises(Refused) as refused:
        verify(proof, row(pair, settled=Head(size=size, root=digest(b"fork"))))
    assert refused.value.fault is Fault.EQUIVOCATION


def test_a_private_part_can_stay_hidden(pair: Pair) -> None:
    proof = proof_from_json(proof_to_json(prove(pair, 40, show=False)).encode())
    assert isinstance(proof.private, Hidden)
    verified = verify(proof, row(pair))
    assert isinstance(verified.entry, Access)
    assert verified.kind == "access"
    assert verified.terms is None


def test_an_entry_that_nobody_acknowledged_is_not_proved(pair: Pair) -> None:
    pair.append(1, [access(GRANT, 9)], [access_terms()])
    with pytest.raises(LocalError, match="not acknowledged"):
        build_proof(pair.channels[1], 1, pair.channels[1].own.size - 1)
    with pytest.raises(LocalError, match="none is number"):
        build_proof(pair.channels[1], 1, 10_000)


@pytest.mark.parametrize("show", [True, False])
def test_every_changed_bit_of_a_file_is_refused(pair: Pair, *, show: bool) -> None:
    l1_channel = row(pair, settled=head(pair, ends(pair)[2]))
    text = proof_to_json(prove(pair, ends(pair)[4] - 1, l1_channel, show=show)).encode()
    assert verify(proof_from_json(text), l1_channel).settled is not None
    for at in range(len(text)):
        for bit in range(8):
            _refuse(text, at, bit, l1_channel)


def _refuse(text: bytes, at: int, bit: int, l1_channel: l1_state.Channel) -> None:
    changed = text[:at] + bytes([text[at] ^ 1 << bit]) + text[at + 1 :]
    with pytest.raises(Refused):
        verify(proof_from_json(changed), l1_channel)


def test_every_other_digit_or_letter_is_refused(pair: Pair) -> None:
    """A changed bit may give another valid digit of a number or of hex: each place tries all of them once."""
    l1_channel = row(pair, settled=head(pair, ends(pair)[2]))
    text = proof_to_json(prove(pair, ends(pair)[4] - 1, l1_channel)).encode()
    letters = b"0123456789abcdef"
    for at, byte in enumerate(text):
        if byte in letters:
            other = letters[(letters.index(byte) + 1 + at % 15) % 16]
            with pytest.raises(Refused):
                verify(proof_from_json(text[:at] + bytes([other]) + text[at + 1 :]), l1_channel)


def test_a_proof_cut_short_or_with_more_behind_is_refused(pair: Pair) -> None:
    text = proof_to_json(prove(pair, 40)).encode()
    assert proof_from_json(text[:-1]) == proof_from_json(text)
    for changed in (
        *(text[:at] for at in range(len(text) - 1)),
        text + b"\n",
        text + b" ",
        b" " + text,
        b"\xef\xbb\xbf",
    ):
        with pytest.raises(Refused):
            proof_from_json(changed)


def test_proofs_meant_for_elsewhere_are_refused(pair: Pair) -> None:
    proof, l1_channel = prove(pair, 40), row(pair)
    swapped = (HOSPITALS[1], HOSPITALS[0])
    other_row = replace(l1_channel, id=digest(b"other"))
    cases = [
        (Fault.WRONG_VERSION, replace(proof, version=2), CHAIN, l1_channel, HOSPITALS),
        (Fault.WRONG_CHAIN, proof, digest(b"other"), l1_channel, HOSPITALS),
        (Fault.WRONG_CHANNEL, proof, CHAIN, other_row, HOSPITALS),
        (Fault.WRONG_CHANNEL, replace(proof, channel=other_row.id), CHAIN, other_row, HOSPITALS),
        (Fault.UNKNOWN_HOSPITAL, proof, CHAIN, l1_channel, swapped),
    ]
    for fault, bad, chain, known, hospitals in cases:
        with pytest.raises(Refused) as refused:
            verify_entry_proof(bad, chain=chain, l1_channel=known, hospitals=hospitals)
        assert refused.value.fault is fault


def test_parts_that_do_not_belong_together_are_refused(pair: Pair) -> None:
    sizes = ends(pair)
    l1_channel = row(pair, settled=head(pair, sizes[2]))
    proof = prove(pair, sizes[4] - 1, l1_channel)
    of_seen = build_proof(pair.channels[0], 1, 0)
    assert isinstance(verify(of_seen, l1_channel).entry, Seen)
    newer = commitment_at(pair.channels[0], 1, sizes[5])
    older = commitment_at(pair.channels[0], 0, 1)
    assert newer is not None
    assert older is not None
    wrong_key = replace(proof.commitment, key=0)
    cases = [
        (Fault.NOT_SETTLED_HEAD, replace(proof, acknowledgement=older)),
        (Fault.NOT_SETTLED_HEAD, replace(proof, commitment=newer)),
        (Fault.BAD_SIGNATURE, replace(proof, acknowledgement=proof.commitment)),
        (Fault.UNKNOWN_KEY, replace(proof, commitment=wrong_key)),
        (Fault.UNKNOWN_KEY, replace(proof, commitment=replace(proof.commitment, key=7))),
        (Fault.BAD_PROOF, replace(proof, anchor=proof.commitment)),
        (Fault.BAD_PROOF, replace(proof, anchor=None)),
        (Fault.BAD_PROOF, replace(proof, index=proof.index - 1)),
        (Fault.BAD_PROOF, replace(proof, inclusion=proof.inclusion[:-1])),
        (Fault.MALFORMED, replace(of_seen, private=Hidden(digest=digest(b"")))),
        (Fault.MALFORMED, replace(proof, private=None)),
        (Fault.MALFORMED, replace(proof, public=of_seen.public)),
    ]
    for at, (fault, bad) in enumerate(cases):
        with pytest.raises(Refused) as refused:
            verify(bad, l1_channel)
        assert refused.value.fault is fault, at


def test_an_entry_without_private_part_is_proved_by_its_public_part_alone(pair: Pair) -> None:
    assert build_proof(pair.channels[0], 1, 0).private is None
    assert isinstance(verify(build_proof(pair.channels[0], 0, 0), row(pair)).entry, Consent)


def test_a_proof_is_verified_before_it_is_handed_out() -> None:
    pair = Pair()
    granted(pair)
    channel = pair.channels[0]
    with pytest.raises(LocalError, match="has not shown this channel"):
        prove_entry(channel, HOSPITALS, 0, GRANT)
    channel.l1 = row(pair)
    proof = prove_entry(channel, HOSPITALS, 0, GRANT)
    assert proof == build_proof(channel, 0, GRANT)
    channel.l1 = forked(row(pair), proof)
    with pytest.raises(LocalError, match=r"does not verify .* not handed out"):
        prove_entry(channel, HOSPITALS, 0, GRANT)


def test_a_proof_out_of_a_damaged_store_is_not_handed_out() -> None:
    pair = Pair()
    granted(pair)
    first = pair.channels[0].readers[0].first_of(GRANT)
    key = batch_key(0, first)
    batch = decode_batch(pair.stores[0].get(key) or b"")
    publics, privates = cut_parts(batch.publics, batch.privates)
    publics[GRANT - first] = publics[GRANT - first][:-1] + bytes([publics[GRANT - first][-1] ^ 1])
    pair.stores[0].put([(key, encode_batch(*join_parts(publics, privates), batch.commitment))])
    pair.crash(0)
    channel = pair.channels[0]
    channel.l1 = row(pair)
    with pytest.raises((LocalError, Refused)):
        prove_entry(channel, HOSPITALS, 0, GRANT)


def forked(l1_channel: l1_state.Channel, proof: EntryProof) -> l1_state.Channel:
    """The chain settled another head of side 0's log at the size that the proof stands on."""
    settled = Head(size=decode_commitment(proof.commitment.body).size, root=digest(b"another"))
    return replace(l1_channel, sides=(replace(l1_channel.sides[0], settled=settled), l1_channel.sides[1]))
