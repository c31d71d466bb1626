"""Policy denies first; what it permits never goes beyond what was wanted, asked for and consented."""

from dataclasses import replace

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from l1.ground.codes import DenyReason, Label, PurposeOfUse, RecordClass, mask
from l1.rules.log.entries import CONSENT_BASIS, EMERGENCY_BASIS, ConsentTerms, RequestTerms
from l2.protocol.policy import EMERGENCY_LIFE_MS, Asked, Directive, Permitted, Wanted, decide, self_test

TREAT, PAY, RESEARCH, BTG = (
    mask([purpose]) for purpose in (PurposeOfUse.TREAT, PurposeOfUse.HPAYMT, PurposeOfUse.HRESCH, PurposeOfUse.BTG)
)
OBSERVATION, CLAIM = mask([RecordClass.OBSERVATION]), mask([RecordClass.CLAIM])

PERMIT = ConsentTerms(
    subject=bytes(16),
    permit=True,
    purposes=TREAT | PAY,
    classes=OBSERVATION,
    label=Label.N,
    from_ms=100,
    until_ms=900,
    document=bytes(32),
)
REQUEST = RequestTerms(
    subject=bytes(16),
    purpose=PurposeOfUse.TREAT,
    practitioner=bytes(16),
    role=0,
    classes=OBSERVATION,
    data_from_ms=0,
    data_until_ms=1_000,
    justification=b"",
)
WANTED = Wanted(classes=OBSERVATION, label=Label.N, purposes=TREAT | RESEARCH, from_ms=200, until_ms=None)
ASKED = Asked(index=7, emergency=False, terms=REQUEST)


def directive(index: int = 1, **changes: object) -> Directive:
    return Directive(index, msgspec.structs.replace(PERMIT, **changes))


def test_the_self_test_passes() -> None:
    self_test()


def test_without_a_consent_nothing_is_permitted() -> None:
    assert decide(WANTED, []) is DenyReason.NO_CONSENT
    assert decide(WANTED, [], ASKED) is DenyReason.NO_CONSENT


def test_a_grant_is_the_overlap_of_what_is_wanted_and_consented() -> None:
    assert decide(WANTED, [directive()]) == Permitted(CONSENT_BASIS, 1, None, TREAT, 200, 900)
    narrow = replace(WANTED, from_ms=50, until_ms=500)
    assert decide(narrow, [directive()]) == Permitted(CONSENT_BASIS, 1, None, TREAT, 100, 500)


def test_a_request_narrows_to_its_purpose() -> None:
    both = replace(WANTED, purposes=TREAT | PAY)
    assert decide(both, [directive()], ASKED) == Permitted(CONSENT_BASIS, 1, 7, TREAT, 200, 900)
    assert decide(replace(WANTED, purposes=PAY), [directive()], ASKED) is DenyReason.PURPOSE_NOT_ALLOWED


def test_a_request_gets_nothing_outside_its_classes_and_its_period() -> None:
    for outside in (
        replace(WANTED, classes=OBSERVATION | CLAIM),
        replace(WANTED, data_from_ms=1_001, data_until_ms=2_000),
        replace(WANTED, classes=0),
    ):
        assert decide(outside, [directive()], ASKED) is DenyReason.NOT_FOUND
    late = Asked(index=7, emergency=False, terms=msgspec.structs.replace(REQUEST, data_from_ms=500))
    assert decide(replace(WANTED, data_until_ms=499), [directive()], late) is DenyReason.NOT_FOUND


def test_a_permit_covers_every_class_inside_up_to_its_label_in_its_period() -> None:
    assert decide(replace(WANTED, classes=OBSERVATION | CLAIM), [directive()]) is DenyReason.NO_CONSENT
    assert decide(replace(WANTED, label=Label.R), [directive()]) is DenyReason.LABEL_TOO_HIGH
    assert decide(replace(WANTED, from_ms=901), [directive()]) is DenyReason.NO_CONSENT
    assert decide(replace(WANTED, purposes=RESEARCH), [directive()]) is DenyReason.PURPOSE_NOT_ALLOWED
    assert decide(replace(WANTED, purposes=0), [directive()]) is DenyReason.PURPOSE_NOT_ALLOWED


def test_a_deny_beats_every_permit_for_its_purposes() -> None:
    deny = directive(2, permit=False, purposes=TREAT, label=Label.U)
    both = replace(WANTED, purposes=TREAT | PAY)
    assert decide(WANTED, [directive(purposes=TREAT | RESEARCH), deny]) == Permitted(
        CONSENT_BASIS, 1, None, RESEARCH, 200, 900
    )
    assert decide(both, [deny, directive()]) == Permitted(CONSENT_BASIS, 1, None, PAY, 200, 900)
    assert decide(replace(WANTED, purposes=TREAT), [deny, directive()]) is DenyReason.CONSENT_DENIES
    elsewhere = directive(2, permit=False, classes=CLAIM)
    over = directive(2, permit=False, until_ms=150)
    for harmless in (elsewhere, over):
        assert isinstance(decide(WANTED, [directive(), harmless]), Permitted)


def test_the_widest_permit_is_chosen() -> None:
    short, long = directive(1, purposes=TREAT), directive(2, purposes=TREAT, until_ms=9_000)
    wide = directive(3, until_ms=300)
    decided = decide(WANTED, [long, short])
    assert isinstance(decided, Permitted)
    assert decided.consent == 2
    decided = decide(replace(WANTED, purposes=TREAT | PAY), [long, short, wide])
    assert isinstance(decided, Permitted)
    assert decided.consent == 3


def test_an_emergency_needs_no_consent_but_serves_treatment_alone_and_not_for_long() -> None:
    terms = msgspec.structs.replace(REQUEST, purpose=PurposeOfUse.BTG, justification=bytes(32))
    emergency = Asked(index=7, emergency=True, terms=terms)
    wanted = replace(WANTED, purposes=BTG)
    deny = directive(2, permit=False, purposes=BTG)
    assert decide(wanted, [deny], emergency) == Permitted(EMERGENCY_BASIS, None, 7, BTG, 200, 200 + EMERGENCY_LIFE_MS)
    research = Asked(7, True, msgspec.structs.replace(terms, purpose=PurposeOfUse.HRESCH))
    assert decide(replace(WANTED, purposes=RESEARCH), [directive()], research) is DenyReason.PURPOSE_NOT_ALLOWED


small = st.integers(0, 7)
times = st.integers(0, 20)
directives = st.builds(
    Directive,
    st.integers(0, 50),
    st.builds(
        ConsentTerms,
        subject=st.just(bytes(16)),
        permit=st.booleans(),
        purposes=small,
        classes=small,
        label=st.integers(0, 5),
        from_ms=times,
        until_ms=times,
        document=st.just(bytes(32)),
    ),
)
wanteds = st.builds(
    Wanted, classes=small, label=st.integers(0, 5), purposes=small, from_ms=times, until_ms=st.none() | times
)


@given(wanteds, st.lists(directives, max_size=4, unique_by=lambda each: each.index))
def test_what_is_permitted_is_within_wish_and_consent(wanted: Wanted, given_: list[Directive]) -> None:
    decided = decide(wanted, given_)
    if not isinstance(decided, Permitted):
        return
    (terms,) = [each.terms for each in given_ if each.index == decided.consent]
    assert terms.permit
    assert decided.purposes
    assert not decided.purposes & ~(wanted.purposes & terms.purposes)
    assert not wanted.classes & ~terms.classes
    assert wanted.label <= terms.label
    assert max(terms.from_ms, wanted.from_ms) == decided.from_ms <= decided.until_ms <= terms.until_ms
    for deny in (each.terms for each in given_ if not each.terms.permit):
        overlap = deny.until_ms >= decided.from_ms and deny.from_ms <= decided.until_ms
        assert not (overlap and deny.classes & wanted.classes and deny.purposes & decided.purposes)


@given(wanteds, st.lists(directives, max_size=4), directives)
def test_one_more_deny_never_permits_more(wanted: Wanted, given_: list[Directive], more: Directive) -> None:
    deny = Directive(99, msgspec.structs.replace(more.terms, permit=False))
    before, after = decide(wanted, given_), decide(wanted, [*given_, deny])
    if isinstance(after, Permitted):
        assert isinstance(before, Permitted)
        assert after.purposes.bit_count() <= before.purposes.bit_count()
