"""Entries and terms that tests write, with everything allowed that a test does not forbid."""

from typing import Any

from l1.ground.hashing import digest
from l1.rules.log.entries import (
    Access,
    AccessTerms,
    Consent,
    ConsentTerms,
    Entry,
    Grant,
    GrantTerms,
    Request,
    RequestTerms,
    Terms,
)
from l2.protocol.events import Written
from tests.unit.l2.protocol.world import NOW_MS, Pair

__all__ = [
    "CONSENTED",
    "SECRET",
    "access",
    "access_terms",
    "consent",
    "consent_terms",
    "first_of",
    "grant",
    "grant_terms",
    "granted",
    "request",
    "request_terms",
    "write",
]

SECRET = digest(b"secret of a grant")
FOREVER_MS = 2**47
EVERYTHING = 2**17 - 1


def consent_terms(**changes: Any) -> ConsentTerms:
    fields: dict[str, Any] = {
        "subject": b"s" * 16,
        "permit": True,
        "purposes": 0b11,
        "classes": EVERYTHING,
        "label": 3,
        "from_ms": 0,
        "until_ms": FOREVER_MS,
        "document": digest(b"document"),
    }
    return ConsentTerms(**fields | changes)


def grant_terms(**changes: Any) -> GrantTerms:
    fields: dict[str, Any] = {
        "content": digest(b"content"),
        "cipher_root": digest(b"root"),
        "cipher_size": 5,
        "key": digest(b"key"),
        "media_type": 1,
        "record_class": 2,
        "label": 3,
        "obligations": 0,
        "purposes": 1,
        "from_ms": 0,
        "until_ms": FOREVER_MS,
    }
    return GrantTerms(**fields | changes)


def request_terms(**changes: Any) -> RequestTerms:
    fields: dict[str, Any] = {
        "subject": b"s" * 16,
        "purpose": 0,
        "practitioner": b"p" * 16,
        "role": 0,
        "classes": EVERYTHING,
        "data_from_ms": 0,
        "data_until_ms": 5,
        "justification": b"",
    }
    return RequestTerms(**fields | changes)


def access_terms(**changes: Any) -> AccessTerms:
    fields: dict[str, Any] = {"practitioner": b"p" * 16, "role": 0, "purpose": 0}
    return AccessTerms(**fields | changes)


def consent(at: int = 0) -> Consent:
    return Consent(time=NOW_MS + at)


def request(at: int = 0, *, emergency: bool = False) -> Request:
    return Request(time=NOW_MS + at, emergency=emergency)


def grant(at: int = 0, **changes: Any) -> Grant:
    fields: dict[str, Any] = {
        "time": NOW_MS + at,
        "basis": 0,
        "consent": 0,
        "request": None,
        "fee": 0,
        "lock": digest(SECRET),
    }
    return Grant(**fields | changes)


def access(index: int, at: int = 0) -> Access:
    return Access(time=NOW_MS + at, grant=index)


CONSENTED = (consent(), consent_terms())


def write(pair: Pair, side: int, entry: Entry, terms: Terms | None = None) -> int:
    """Append one entry, let everything arrive, and say where it stands."""
    effects = pair.append(side, [entry], [] if terms is None else [terms])
    pair.settle()
    written = [effect for effect in effects if isinstance(effect, Written)]
    assert written, "the entry was not written at once"
    assert not written[0].refused, f"refused: {written[0].refused}"
    return first_of(pair, side, written[0].ticket)


def first_of(pair: Pair, side: int, ticket: int) -> int:
    """The index of the first entry of an append."""
    return next(e.first for e in pair.effects[side] if isinstance(e, Written) and e.ticket == ticket)


def granted(pair: Pair, count: int = 1, **changes: Any) -> int:
    """Side 0 consents once and grants: the index of its first grant."""
    basis = write(pair, 0, *CONSENTED)
    effects = pair.append(0, [grant(1, **{"consent": basis} | changes)] * count, [grant_terms()] * count)
    pair.settle()
    return next(effect.first for effect in effects if isinstance(effect, Written))
