"""The entries of the bare pipeline: those that a hospital makes of the same drafts, with handles drawn at random."""

import random
from collections.abc import Sequence
from typing import Any

from client.bench.stream import Stream
from client.demo.encounters import find_encounters
from client.demo.patients import generate_patients
from client.demo.workload import Workload
from l1.rules.log.entries import (
    CONSENT_BASIS,
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
)
from l2.desk.drafts import AccessDraft, ConsentDraft, GrantDraft, ReceiptDraft, RequestDraft, RevokeDraft

__all__ = ["entries_of", "entry_of"]

NOW_MS = 1_800_000_000_000
PATIENTS = 24
UPDATES_PER_ENCOUNTER = 6


def entries_of(updates: int, batch: int, seed: int) -> list[tuple[Sequence[Entry], Sequence[Terms]]]:
    """That many updates in batches: entries, and the terms of those that have some."""
    found = [one for file in generate_patients(seed, PATIENTS) for one in find_encounters(file.content, file.name)]
    encounters = Workload(found, seed, now_ms=NOW_MS).next_encounters(max(1, updates // UPDATES_PER_ENCOUNTER))
    consents = {encounter.patient: number for number, encounter in enumerate(encounters)}
    granted = range(len(consents), len(consents) + len(encounters))
    stream = Stream(encounters, granted=granted, consents=consents, revocable=(), seed=seed, now_ms=NOW_MS)
    chance = random.Random(seed)  # noqa: S311 - what digests and handles are does not matter here
    batches: list[tuple[Sequence[Entry], Sequence[Terms]]] = []
    for _ in range(-(-updates // batch)):
        made = [entry_of(draft, chance, NOW_MS) for draft in stream.take(batch)]
        batches.append(([entry for entry, _ in made], [terms for _, terms in made if terms is not None]))
    return batches


def entry_of(draft: Any, chance: random.Random, now_ms: int) -> tuple[Entry, Terms | None]:
    """What a hospital would make of the draft, but for whom it is about."""
    match draft:
        case AccessDraft():
            return Access(now_ms, draft.grant), AccessTerms(chance.randbytes(16), draft.role, draft.purpose)
        case ReceiptDraft():
            return Receipt(now_ms, draft.grant), None
        case RevokeDraft():
            return Revoke(now_ms, draft.grant), None
        case ConsentDraft():
            said = ConsentTerms(
                chance.randbytes(16),
                draft.permit,
                draft.purposes,
                draft.classes,
                draft.label_ceiling,
                draft.from_ms,
                draft.until_ms,
                draft.digest,
            )
            return Consent(now_ms), said
        case RequestDraft():
            asked = RequestTerms(
                chance.randbytes(16),
                draft.purpose,
                chance.randbytes(16),
                draft.role,
                draft.classes,
                draft.data_from_ms,
                draft.data_to_ms,
                b"",
            )
            return Request(now_ms, draft.emergency), asked
        case GrantDraft():
            terms = GrantTerms(
                chance.randbytes(32),
                chance.randbytes(32),
                0,
                chance.randbytes(32),
                draft.media_type,
                draft.record_class,
                draft.label,
                0,
                draft.purposes,
                draft.from_ms,
                draft.until_ms,
            )
            return Grant(now_ms, CONSENT_BASIS, draft.consent, None, draft.fee, chance.randbytes(32)), terms
    raise AssertionError(f"{type(draft).__name__} is not in the stream")
