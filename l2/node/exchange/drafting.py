"""Drafts become entries: time, handles and digests are put in. In tight loops, for thousands come at once.

Knows both shapes; neither waits nor writes.
"""

import secrets
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple, cast

from l1.ground.faults import LocalError
from l1.rules.log.entries import (
    CONSENT_BASIS,
    REQUEST_BASIS,
    Access,
    AccessTerms,
    Consent,
    ConsentTerms,
    Entry,
    Grant,
    GrantTerms,
    Receipt,
    Request,
    RequestTerms,
    Revoke,
    Terms,
    Withdraw,
)
from l2.desk.drafts import (
    AccessDraft,
    ConsentDraft,
    Draft,
    GrantDraft,
    ReceiptDraft,
    RequestDraft,
    RevokeDraft,
    WithdrawDraft,
)
from l2.node.exchange.book import Paper
from l2.node.exchange.dealing import Dealing, Handles

__all__ = ["Drafted", "draft_entries", "paper_of"]

_NOISE = 4 * 32  # the digests of a bench's grant


def paper_of(content: bytes) -> tuple[bytes, Paper]:
    """A paper under a fresh salt, and the digest that the log will show."""
    salt = secrets.token_bytes(32)
    return sha256(salt + content).digest(), Paper(salt=salt, content=content)


class Drafted(NamedTuple):
    """Entries, the terms of those that have some, and the papers behind them."""

    entries: list[Entry]
    terms: list[Terms]
    papers: list[tuple[bytes, Paper]]


class _Desk:
    """What all drafts of one request need: the hour, the names, and the chance."""

    __slots__ = ("noise", "papers", "patients", "practitioners", "time")

    def __init__(self, dealing: Dealing, time_ms: int, grants: int) -> None:
        self.time = time_ms
        self.patients, self.practitioners = dealing.patients, dealing.practitioners
        self.papers: list[tuple[bytes, Paper]] = []
        drawn = secrets.token_bytes(grants * _NOISE)
        self.noise = iter([drawn[at : at + 32] for at in range(0, len(drawn), 32)])


class _Opened(dict[tuple[str, int, int], AccessTerms]):
    """Who opens something, in which role, and for what: the same few again and again in one request."""

    def __init__(self, practitioners: Handles) -> None:
        super().__init__()
        self._practitioners = practitioners

    def __missing__(self, who: tuple[str, int, int]) -> AccessTerms:
        practitioner, role, purpose = who
        made = self[who] = AccessTerms(self._practitioners[practitioner], role, purpose)
        return made


def draft_entries(dealing: Dealing, drafts: Sequence[Draft], time_ms: int, *, bench: bool) -> Drafted:
    """Raises `LocalError` for drafts that only a bench takes.

    Nearly all drafts are accesses and receipts, so these two are made in place, and all others by their tables.
    """
    kinds = list(map(type, drafts))
    if not bench and (GrantDraft in kinds or ReceiptDraft in kinds):
        cause = "grants and receipts are written by the hospital itself"
        raise LocalError(cause, "Share or fetch a record; a hospital for benches says `bench = true` in its config.")
    desk = _Desk(dealing, time_ms, kinds.count(GrantDraft))
    opened, untyped = _Opened(desk.practitioners), cast(Sequence[Any], drafts)
    entries: list[Entry] = [
        Access(time_ms, draft.grant)
        if kind is AccessDraft
        else Receipt(time_ms, draft.grant)
        if kind is ReceiptDraft
        else _ENTRY[kind](desk, draft)
        for kind, draft in zip(kinds, untyped, strict=True)
    ]
    terms: list[Terms] = [
        opened[draft.practitioner, draft.role, draft.purpose] if kind is AccessDraft else _TERMS[kind](desk, draft)
        for kind, draft in zip(kinds, untyped, strict=True)
        if kind is AccessDraft or kind not in _WITHOUT_TERMS
    ]
    return Drafted(entries, terms, desk.papers)


def _grant(desk: _Desk, draft: GrantDraft) -> Grant:
    basis = REQUEST_BASIS if draft.consent is None else CONSENT_BASIS
    return Grant(desk.time, basis, draft.consent, draft.request, draft.fee, next(desk.noise))


def _grant_terms(desk: _Desk, draft: GrantDraft) -> GrantTerms:
    return GrantTerms(
        next(desk.noise),
        next(desk.noise),
        0,  # no body has this size, so that nobody tries to fetch one
        next(desk.noise),
        draft.media_type,
        draft.record_class,
        draft.label,
        0,
        draft.purposes,
        draft.from_ms,
        draft.until_ms,
    )


def _consent_terms(desk: _Desk, draft: ConsentDraft) -> ConsentTerms:
    return ConsentTerms(
        subject=desk.patients[draft.patient],
        permit=draft.permit,
        purposes=draft.purposes,
        classes=draft.classes,
        label=draft.label_ceiling,
        from_ms=draft.from_ms,
        until_ms=draft.until_ms,
        document=draft.digest,
    )


def _request_terms(desk: _Desk, draft: RequestDraft) -> RequestTerms:
    justification = b""
    if draft.emergency:
        justification, paper = paper_of(draft.justification.encode())
        desk.papers.append((justification, paper))
    return RequestTerms(
        desk.patients[draft.patient],
        draft.purpose,
        desk.practitioners[draft.practitioner],
        draft.role,
        draft.classes,
        draft.data_from_ms,
        draft.data_to_ms,
        justification,
    )


_ENTRY: dict[type, Callable[[_Desk, Any], Entry]] = {
    ConsentDraft: lambda desk, _: Consent(desk.time),
    WithdrawDraft: lambda desk, draft: Withdraw(desk.time, draft.consent),
    RequestDraft: lambda desk, draft: Request(desk.time, draft.emergency),
    GrantDraft: _grant,
    RevokeDraft: lambda desk, draft: Revoke(desk.time, draft.grant),
}
_TERMS: dict[type, Callable[[_Desk, Any], Terms]] = {
    ConsentDraft: _consent_terms,
    RequestDraft: _request_terms,
    GrantDraft: _grant_terms,
}
_WITHOUT_TERMS = frozenset((WithdrawDraft, RevokeDraft, ReceiptDraft))
