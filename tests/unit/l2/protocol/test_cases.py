"""A hospital that receives proof of misconduct keeps it, signs nothing more, and files it; the chain's judge agrees."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from l1.ground.codec import encode
from l1.ground.faults import Fault, LocalError
from l1.ground.hashing import digest
from l1.ground.merkle import Frontier, inclusion_proof, node_hash
from l1.rules import state as l1_state
from l1.rules.commitment import Signed
from l1.rules.evidence import Charge, Evidence, Forked, Shown
from l1.rules.judge import Guilty, judge
from l1.rules.log.entries import Receipt, Revoke, Seen, Withdraw
from l1.rules.log.leaves import Hidden, cut_parts, encode_parts, leaf_hashes
from l1.rules.shown import Court
from l1.rules.state import Claim, Demanded
from l1.rules.transactions import CHANNEL, Close, Demand, Ended, Report, ResumeChannel, Reveal, Settle
from l2.protocol.cases import AGAIN_BLOCKS, read_cases
from l2.protocol.events import (
    AskClose,
    AskSecret,
    BlockSeen,
    Charged,
    Effect,
    MessageReceived,
    RevealAsked,
    Send,
    Submit,
    WordsSeen,
)
from l2.protocol.messages import Message, ResumeAsk
from l2.protocol.phases import Phase
from tests.unit.l2.protocol.mallory import Mallory
from tests.unit.l2.protocol.stories import access, access_terms, granted, request, request_terms, write
from tests.unit.l2.protocol.world import CHAIN, KEYS, NOW_MS, OPENING, Pair


def chain_row(channel: bytes, **changes: Any) -> l1_state.Channel:
    """The channel on the chain: open, and nobody guilty, but for the changes."""
    sides = tuple(l1_state.SideState(deposit=amount, bond=OPENING.bond) for amount in OPENING.deposits)
    row = l1_state.Channel(
        id=channel,
        opening=OPENING,
        opened_at=1,
        opened_at_ms=0,
        phase=l1_state.Phase.OPEN,
        sides=sides,  # type: ignore[arg-type]
    )
    return replace(row, **changes)


def verdict(row: l1_state.Channel, evidence: Evidence) -> Any:
    def hospital(side: int) -> l1_state.Hospital:
        key = l1_state.Key(
            number=1, kind=CHANNEL, key=KEYS[side].public_key, valid_from_ms=0, valid_until_ms=2**48,
            revoked_at_ms=None, compromised_since_ms=None, **_registered(),
        )  # fmt: skip
        return l1_state.Hospital(id=OPENING.hospitals[side], name="h", endpoint="h:1", keys=(key, key))

    return judge(evidence, Court(CHAIN, row, (hospital(0), hospital(1)), 0), 1)


def _registered() -> dict[str, Any]:
    known = set(l1_state.Key.__struct_fields__)
    return {name: 0 for name in ("registered_by",) if name in known}


def block(pair: Pair, row: l1_state.Channel, height: int, clock_ms: int = NOW_MS) -> Sequence[Effect]:
    return pair.do(0, BlockSeen(height=height, clock_ms=clock_ms, row=row))


def actions(effects: Sequence[Effect]) -> list[Any]:
    return [effect.action for effect in effects if isinstance(effect, Submit)]


def convict(mallory: Mallory, payload: bytes, charge: Charge, fault: Fault) -> Evidence:
    """The message freezes the channel, the case is durable, and the chain would call Mallory guilty."""
    pair = mallory.pair
    effects = pair.do(0, MessageReceived(Message.BATCH, payload))
    [charged] = [effect for effect in effects if isinstance(effect, Charged)]
    assert mallory.victim.phase is Phase.FROZEN
    assert charged.charge is charge
    [case] = read_cases(pair.channels[0].rows)
    assert (case.charge, case.number) == (charge, charged.number)
    found = verdict(chain_row(mallory.victim.id), charged.evidence)
    assert isinstance(found, Guilty), found
    assert (found.side, found.charge) == (1, charge)
    assert fault is not None
    return charged.evidence


def ended(pair: Pair, kind: type) -> int:
    """A grant that side 1 knows to have ended."""
    grant = granted(pair)
    write(pair, 0, kind(NOW_MS + 2, grant if kind is Revoke else 0))
    return grant


def seen_by(mallory: Mallory) -> Seen:
    head = mallory.victim.own
    assert head.commitment is not None
    return Seen(time=NOW_MS + 3, size=head.size, root=head.commitment.root)


@pytest.mark.parametrize("kind", [Revoke, Withdraw])
def test_an_access_after_its_end(kind: type) -> None:
    pair = Pair()
    grant = ended(pair, kind)
    mallory = Mallory(pair)
    payload = mallory.batch([access(grant, 4)], [access_terms()])
    convict(mallory, payload, Charge.ACCESS_AFTER_END, Fault.MISCONDUCT)


@pytest.mark.parametrize(
    ("grant", "terms", "charge"),
    [
        (9, {}, Charge.ACCESS_WITHOUT_GRANT),
        (0, {}, Charge.ACCESS_WITHOUT_GRANT),
        (2, {"purpose": 5}, Charge.ACCESS_OUTSIDE_PURPOSE),
    ],
)
def test_an_access_without_its_like(grant: int, terms: dict[str, int], charge: Charge) -> None:
    pair = Pair()
    assert granted(pair) == 2
    mallory = Mallory(pair)
    convict(mallory, mallory.batch([access(grant, 4)], [access_terms(**terms)]), charge, Fault.MISCONDUCT)


def test_two_words_at_one_size_and_one_total_that_falls() -> None:
    for change in ({"root": digest(b"other")}, {"spent": 7}, {"seen_size": 0}):
        mallory = Mallory()
        write(mallory.pair, 0, request(), request_terms())
        write(mallory.pair, 1, request(), request_terms())
        words = mallory.commitment(mallory.victim.peer.frontier, **change)
        effects = mallory.pair.do(0, WordsSeen(words))
        [charged] = [effect for effect in effects if isinstance(effect, Charged)]
        assert charged.charge is Charge.EQUIVOCATION
        assert isinstance(verdict(chain_row(mallory.victim.id), charged.evidence), Guilty)
    pair = Pair()
    write(pair, 1, request(), request_terms())
    honest = pair.channels[1].own.signed
    assert honest is not None
    assert not any(isinstance(effect, Charged) for effect in pair.do(0, WordsSeen(honest)))
    assert not pair.do(0, WordsSeen(replace(honest, signature=bytes(64))))


def test_two_logs_are_found_by_the_entry_in_which_they_differ() -> None:
    """She shows us two entries, and somebody else another log of five: no two words of hers have one size."""
    pair = Pair()
    mallory = Mallory(pair)
    write(pair, 1, request(), request_terms())
    write(pair, 1, request(), request_terms())
    shown = other_log(mallory, 5)
    assert not any(isinstance(effect, Charged) for effect in pair.do(0, WordsSeen(shown[0][0])))
    effects = pair.do(0, WordsSeen(*shown[1]))
    [charged] = [effect for effect in effects if isinstance(effect, Charged)]
    assert charged.charge is Charge.EQUIVOCATION
    assert isinstance(charged.evidence, Forked)
    assert charged.evidence.index == 1
    assert isinstance(verdict(chain_row(mallory.victim.id), charged.evidence), Guilty)
    assert mallory.victim.phase is Phase.FROZEN


@pytest.mark.parametrize("why", ["not held", "not proved", "settled", "not resumed", "forgot", "below a resume"])
def test_what_is_shown_of_her_says_nothing(why: str) -> None:
    pair = Pair()
    mallory = Mallory(pair)
    write(pair, 1, request(), request_terms())
    if why != "not held":
        write(pair, 1, request(), request_terms())
    signed, entry = other_log(mallory, 5)[1]
    if why == "not proved":
        entry = replace(entry, path=entry.path[::-1])
    victim = mallory.victim
    if why == "settled":
        victim.row = replace(victim.row, phase=Phase.SETTLED)
    victim.resumed, victim.forgot = why != "not resumed", why == "forgot"
    if why == "below a resume":
        row = chain_row(victim.id)
        void = replace(row.sides[1], resume_height=pair.height + 1, resume_size=0)
        victim.l1 = replace(row, sides=(row.sides[0], void))
    assert not any(isinstance(effect, Charged) for effect in pair.do(0, WordsSeen(signed, entry)))


@pytest.mark.parametrize(
    ("size", "height", "by_us", "is_given"),
    [(3, 4, True, False), (3, 4, False, True), (0, 4, True, True), (3, 5, True, True)],
)
@pytest.mark.parametrize("how", ["claimed", "posted"])
def test_no_resume_denies_what_we_showed_the_chain_ourselves(
    how: str, size: int, height: int, by_us: bool, is_given: bool
) -> None:
    """[START-2] Our disk has forgotten it, and the chain has not: it would be our bond (RESUME-5)."""
    mallory = Mallory()
    mallory.pair.do(0, BlockSeen(height=5, clock_ms=NOW_MS, row=None))
    row = chain_row(mallory.victim.id)
    if how == "claimed":
        claim = Claim(
            charge=int(Charge.OVERSPEND),
            side=1,
            until_ms=NOW_MS + 1_000,
            words=((size, height),),
            by_peer=by_us,
            tower=None,
            reward=0,
        )
        mallory.victim.l1 = replace(row, claims=(claim,))
    else:
        posted = replace(row.sides[1].posted, size=size)
        shown = replace(row.sides[1], posted=posted, posted_height=height, posted_by_peer=by_us)
        mallory.victim.l1 = replace(row, sides=(row.sides[0], shown))
    effects = mallory.pair.do(0, MessageReceived(Message.RESUME_ASK, encode(ResumeAsk(height=5))))
    assert any(isinstance(effect, Send) and effect.type == Message.RESUME_GIVEN for effect in effects) is is_given
    assert (mallory.victim.row.peer_floor == 5) is is_given


def other_log(mallory: Mallory, size: int) -> list[tuple[Signed, Shown]]:
    """Another log of hers: her commitment, with each of its entries."""
    terms = [request_terms(purpose=number + 1) for number in range(size)]
    parts = encode_parts([request()] * size, terms)
    publics, privates = cut_parts(*parts)
    salts = mallory.victim.readers[1].salts
    leaves = leaf_hashes(*parts, salts.span(0, size))
    frontier, _ = Frontier().extend(leaves)
    signed = mallory.commitment(frontier)

    def node(level: int, index: int) -> bytes:
        return leaves[index] if not level else node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))

    return [
        (
            signed,
            Shown(
                index=index,
                public=publics[index],
                private=Hidden(digest=digest(salts.one(index) + privates[index])),
                path=tuple(inclusion_proof(node, index, size)),
            ),
        )
        for index in range(size)
    ]


def test_spending_what_is_not_there() -> None:
    mallory = Mallory()
    convict(mallory, mallory.requests(spent=1_001), Charge.OVERSPEND, Fault.NOT_COVERED)


def test_a_case_is_filed_until_the_chain_shows_it_and_survives_a_restart() -> None:
    pair = Pair()
    mallory = Mallory(pair)
    assert not actions(pair.do(0, MessageReceived(Message.BATCH, mallory.requests(spent=1_001))))
    row = chain_row(mallory.victim.id)
    [report] = actions(block(pair, row, 10))
    assert isinstance(report, Report)
    assert not actions(block(pair, row, 11))
    assert actions(block(pair, row, 10 + AGAIN_BLOCKS)) == [report]
    assert not actions(block(pair, row, 10 + 2 * AGAIN_BLOCKS)), "ever less often"
    claim = Claim(charge=7, side=1, until_ms=NOW_MS + 9, words=(), by_peer=True, tower=None, reward=0)
    pair.restart(0)
    assert actions(block(pair, row, 200)) == [report]
    assert not actions(block(pair, replace(row, claims=(claim,)), 400))
    [settle] = actions(block(pair, replace(row, claims=(claim,)), 401, clock_ms=NOW_MS + 9))
    assert isinstance(settle, Settle)
    guilty = replace(row, sides=(row.sides[0], replace(row.sides[1], guilty=7, bond=0)))
    assert not actions(block(pair, guilty, 900))


def test_a_demand_is_answered_with_the_ending_or_the_shell_is_asked_for_the_secret() -> None:
    pair = Pair()
    grant = granted(pair, 2)
    write(pair, 0, Revoke(NOW_MS + 2, grant + 1))
    demands = tuple(
        Demanded(side=0, until_ms=NOW_MS + 50, grant=at, consent=0, lock=digest(b"lock")) for at in (grant, grant + 1)
    )
    row = chain_row(pair.channels[0].id, claims=demands)
    effects = block(pair, row, 10)
    assert [effect.grant for effect in effects if isinstance(effect, RevealAsked)] == [grant]
    [answer] = actions(effects)
    assert isinstance(answer, Reveal)
    assert isinstance(answer.answer, Ended)
    assert not any(isinstance(effect, RevealAsked) for effect in block(pair, row, 11))
    assert any(isinstance(effect, RevealAsked) for effect in block(pair, row, 10 + AGAIN_BLOCKS))


def test_a_recipient_demands_what_is_kept_back() -> None:
    pair = Pair()
    grant = granted(pair)
    receipt = write(pair, 1, Receipt(NOW_MS + 3, grant))
    [demand] = actions(pair.do(1, AskSecret(receipt)))
    assert isinstance(demand, Demand)
    for wrong in (receipt + 1, 0):
        with pytest.raises(LocalError):
            pair.do(1, AskSecret(wrong))


def test_a_claim_on_words_that_our_resume_voids_is_answered_with_it() -> None:
    pair = Pair()
    granted(pair)
    pair.restart(0)
    height, size = pair.channels[0].resume_height, pair.channels[0].own.size
    assert height is not None
    claim = Claim(
        charge=2, side=0, until_ms=NOW_MS + 9, words=((size + 1, height - 1),), by_peer=True, tower=None, reward=0
    )
    row = chain_row(pair.channels[0].id, claims=(claim,))
    [action] = actions(block(pair, row, height + 1))
    assert isinstance(action, ResumeChannel)


def denied(pair: Pair) -> l1_state.Channel:
    """The chain holds a resume of side 1 that side 0 gave and has forgotten: all that it holds of side 1 is void."""
    row = chain_row(pair.channels[0].id)
    return replace(row, sides=(row.sides[0], replace(row.sides[1], resume_height=500, resume_size=0)))


def test_a_promise_that_the_chain_knows_is_remembered() -> None:
    pair = Pair()
    granted(pair)
    block(pair, denied(pair), 600)
    assert pair.channels[0].row.peer_floor == 500
    block(pair, denied(pair), 601)
    pair.crash(0)
    assert pair.channels[0].row.peer_floor == 500


def test_a_case_on_words_that_our_own_forgotten_resume_denies_is_not_filed() -> None:
    """It would be us who forfeits."""
    pair = Pair()
    grant = ended(pair, Revoke)
    mallory = Mallory(pair)
    convict(mallory, mallory.batch([access(grant, 4)], [access_terms()]), Charge.ACCESS_AFTER_END, Fault.MISCONDUCT)
    assert [type(each) for each in actions(block(pair, chain_row(pair.channels[0].id), 10))] == [Report]
    assert not actions(block(pair, denied(pair), 600))


def test_a_close_does_not_show_what_our_own_forgotten_resume_denies() -> None:
    pair = Pair()
    granted(pair)
    assert pair.channels[0].peer.size
    block(pair, denied(pair), 600)
    [close] = actions(pair.do(0, AskClose(alone=True, lost=True)))
    assert isinstance(close, Close)
    assert close.peer is None
