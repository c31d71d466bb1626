"""What people read: every kind of entry in one line, with and without its private part."""

import pytest

from client.wording import amount, day, duration, entry_line, moment
from l1.ground.codes import RecordClass
from l1.rules.log.entries import Access, AccessTerms, Deny, DenyTerms, Grant, GrantTerms, Pay, Seen, Withdraw
from l2.desk.entry_words import entry_words

ACTOR = {"practitioner": "ab" * 16, "role": "PHYSICIAN", "purpose": "TREAT"}
CONSENT = {"permit": True, "purposes": ["TREAT", "BTG"], "label": "N", "until_ms": 0}


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"kind": "seen", "size": 5}, "the other log up to entry 4"),
        ({"kind": "consent"}, "(private)"),
        (
            {"kind": "consent", **CONSENT, "classes": [code.name for code in RecordClass]},
            "permits TREAT, BTG up to label N, to 1970-01-01",
        ),
        (
            {"kind": "consent", **CONSENT, "permit": False, "classes": ["CLAIM"]},
            "denies TREAT, BTG of CLAIM up to label N, to 1970-01-01",
        ),
        ({"kind": "request", "emergency": False}, "(private)"),
        ({"kind": "request", "emergency": True, **ACTOR}, "ababababab…, PHYSICIAN, asks for TREAT in an emergency"),
        ({"kind": "access", "grant": 2, **ACTOR, "practitioner_name": "dr-1"}, "grant 2 by dr-1, PHYSICIAN, for TREAT"),
        ({"kind": "receipt", "grant": 2, "void": "not granted"}, "VOID, not granted: grant 2"),
        ({"kind": "release", "grant": 2, "patient": "p" * 40}, "grant 2; about pppppppppppp…"),
        ({"kind": "review", "request": 3}, "request 3"),
        ({"kind": "of tomorrow"}, "1 fields"),
    ],
)
def test_an_entry_says_one_line(entry: dict[str, object], line: str) -> None:
    assert entry_line(entry) == line


def test_words_of_a_decoded_entry_make_a_line() -> None:
    zero = bytes(32)
    grant = Grant(time=1, basis=0, consent=4, request=None, fee=1_500, lock=zero)
    terms = GrantTerms(
        content=zero,
        cipher_root=zero,
        cipher_size=9,
        key=zero,
        media_type=0,
        record_class=RecordClass.CLAIM,
        label=3,
        obligations=0,
        purposes=1,
        from_ms=0,
        until_ms=86_400_000,
    )
    lines = [
        entry_line({"kind": type(entry).__name__.lower(), **entry_words(entry, part)})
        for entry, part in (
            (grant, terms),
            (grant, None),
            (Access(time=1, grant=7), AccessTerms(practitioner=bytes(16), role=0, purpose=99)),
            (Access(time=1, grant=7), None),
            (Deny(time=1, request=3), DenyTerms(reason=1)),
            (Deny(time=1, request=3), None),
            (Pay(time=1, amount=5, grant=7), None),
            (Seen(time=1, size=1, root=zero), None),
            (Withdraw(time=1, consent=4), None),
        )
    ]
    assert lines[0] == "CLAIM, label N, for TREAT, to 1970-01-02, on consent 4, fee 1,500"
    assert lines[1] == "on consent 4, fee 1,500"
    assert lines[2].endswith("for 99"), "a code that we do not know goes by its number"
    assert lines[3] == "grant 7"
    assert lines[4].startswith("request 3: ")
    assert lines[5:] == ["request 3", "5 credits for grant 7", "the other log up to entry 0", "consent 4"]


def test_figures() -> None:
    assert amount(1_000) == "1,000 credits"
    assert (day(0), day(2**62)) == ("1970-01-01", "always")
    assert moment(1_000) == "1970-01-01 00:00:01"
    assert [duration(ms) for ms in (900, 600_000, 86_400_000 * 3)] == ["0.9 s", "10 min", "3 d"]
