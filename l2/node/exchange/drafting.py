"""Drafts become entries: time, handles and digests are put in. In tight loops, for thousands come at once.

Knows both shapes; neither waits nor writes.
"""

import secrets
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

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
from l2.node.exchange.dealing import Dealing

__all__ = ["Drafted", "draft_entries", "paper_of"]

CODE_MAX = 31
_NOISE = 4 * 32  # four digests


def paper_of(content: bytes) -> tuple[bytes, Paper]:
    """A paper under a fresh salt, and the digest that the log will show."""
    salt = secrets.token_bytes(32)
    return sha256(salt + content).digest(), Paper(salt=salt, content=content)


class Drafted:
    """Entries, the terms of those that have some, and the papers behind them."""

    __slots__ = ("dealing", "entries", "papers", "terms", "time")

    def __init__(self, dealing: Dealing, time_ms: int) -> None:
        self.dealing, self.time = dealing, time_ms
        self.entries: list[Entry] = []
        self.terms: list[Terms] = []
        self.papers: list[tuple[bytes, Paper]] = []


def draft_entries(dealing: Dealing, drafts: Sequence[Draft], time_ms: int, *, bench: bool) -> Drafted:
    """Raises `LocalError` for codes that no entry can carry, and for drafts that only a bench takes."""
    drafted = Drafted(dealing, time_ms)
    kinds = set(map(type, drafts))
    if not bench and kinds & {GrantDraft, ReceiptDraft}:
        cause = "grants and receipts are written by the hospital itself"
        raise LocalError(cause, "Share or fetch a record; a hospital for benches says `bench = true` in its config.")
    _check_codes(drafts)
    if kinds <= {AccessDraft, ReceiptDraft}:
        _opened(drafted, drafts)
        return drafted
    if kinds == {GrantDraft}:
        _granted(drafted, drafts)
        return drafted
    write = _WRITE
    for draft in drafts:
        write[type(draft)](drafted, draft)
    return drafted


def _check_codes(drafts: Sequence[Draft]) -> None:
    """Our own desk may name numbers that do not fit; the peer would take them for a fault of ours."""
    most = CODE_MAX
    for position, draft in enumerate(drafts):
        kind = type(draft)
        if kind is AccessDraft or kind is RequestDraft:
            fits = draft.role <= most and draft.purpose <= most  # type: ignore[union-attr]
        elif kind is GrantDraft:
            fits = max(draft.record_class, draft.label, draft.media_type) <= most  # type: ignore[union-attr]
        elif kind is ConsentDraft:
            fits = draft.label_ceiling <= most  # type: ignore[union-attr]
        else:
            continue
        if not fits:
            raise LocalError(f"draft {position} has a code above {most}", "Use the codes of the reference.")


def _opened(drafted: Drafted, drafts: Sequence[Any]) -> None:
    """What a recipient writes all day."""
    time, names = drafted.time, drafted.dealing.practitioners
    for draft in drafts:
        drafted.entries.append(Access(time, draft.grant) if type(draft) is AccessDraft else Receipt(time, draft.grant))
    drafted.terms = [
        AccessTerms(names[draft.practitioner], draft.role, draft.purpose)
        for draft in drafts
        if type(draft) is AccessDraft
    ]


def _granted(drafted: Drafted, drafts: Sequence[Any]) -> None:
    """What a custodian of a bench writes all day: random digests for all, drawn at once."""
    time, noise = drafted.time, secrets.token_bytes(len(drafts) * _NOISE)
    entries, terms = drafted.entries.append, drafted.terms.append
    for at, draft in zip(range(0, len(noise), _NOISE), drafts, strict=True):
        basis = REQUEST_BASIS if draft.consent is None else CONSENT_BASIS
        entries(Grant(time, basis, draft.consent, draft.request, draft.fee, noise[at : at + 32]))
        offered = GrantTerms(
            noise[at + 32 : at + 64],
            noise[at + 64 : at + 96],
            0,  # no body has this size, so that nobody tries to fetch one
            noise[at + 96 : at + 128],
            draft.media_type,
            draft.record_class,
            draft.label,
            0,
            draft.purposes,
            draft.from_ms,
            draft.until_ms,
        )
        terms(offered)


def _consent(drafted: Drafted, draft: ConsentDraft) -> None:
    drafted.entries.append(Consent(drafted.time))
    terms = ConsentTerms(
        subject=drafted.dealing.patients[draft.patient],
        permit=draft.permit,
        purposes=draft.purposes,
        classes=draft.classes,
        label=draft.label_ceiling,
        from_ms=draft.from_ms,
        until_ms=draft.until_ms,
        document=draft.digest,
    )
    drafted.terms.append(terms)


def _request(drafted: Drafted, draft: RequestDraft) -> None:
    drafted.entries.append(Request(drafted.time, draft.emergency))
    justification = b""
    if draft.emergency:
        justification, paper = paper_of(draft.justification.encode())
        drafted.papers.append((justification, paper))
    terms = RequestTerms(
        drafted.dealing.patients[draft.patient],
        draft.purpose,
        drafted.dealing.practitioners[draft.practitioner],
        draft.role,
        draft.classes,
        draft.data_from_ms,
        draft.data_to_ms,
        justification,
    )
    drafted.terms.append(terms)


def _grant(drafted: Drafted, draft: GrantDraft) -> None:
    _granted(drafted, [draft])


def _access(drafted: Drafted, draft: AccessDraft) -> None:
    drafted.entries.append(Access(drafted.time, draft.grant))
    drafted.terms.append(AccessTerms(drafted.dealing.practitioners[draft.practitioner], draft.role, draft.purpose))


def _withdraw(drafted: Drafted, draft: WithdrawDraft) -> None:
    drafted.entries.append(Withdraw(drafted.time, draft.consent))


def _revoke(drafted: Drafted, draft: RevokeDraft) -> None:
    drafted.entries.append(Revoke(drafted.time, draft.grant))


def _receipt(drafted: Drafted, draft: ReceiptDraft) -> None:
    drafted.entries.append(Receipt(drafted.time, draft.grant))


_WRITE: dict[type, Callable[[Drafted, Any], None]] = {
    ConsentDraft: _consent,
    WithdrawDraft: _withdraw,
    RequestDraft: _request,
    GrantDraft: _grant,
    RevokeDraft: _revoke,
    ReceiptDraft: _receipt,
    AccessDraft: _access,
}
