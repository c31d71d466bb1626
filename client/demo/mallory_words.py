"""Terms of what Mallory writes: everything allowed, about nobody."""

from typing import Any

from l1.ground.hashing import digest
from l1.rules.log.entries import ConsentTerms, GrantTerms, RequestTerms

__all__ = ["consent_terms", "grant_terms", "request_terms"]

FOREVER_MS = 2**47
EVERYTHING = 2**9 - 1


def consent_terms(**changes: Any) -> ConsentTerms:
    fields: dict[str, Any] = {
        "subject": b"s" * 16,
        "permit": True,
        "purposes": EVERYTHING,
        "classes": EVERYTHING,
        "label": 5,
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
