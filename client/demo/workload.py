"""Record-access updates as care makes them: what a recipient and a custodian write, drawn from real encounters.

For each encounter the recipient asks, the custodian grants, the recipient confirms and its practitioners open the
record; now and then a grant is taken back. Pure of IO and of chance that is not seeded: it says what to write next,
and is told at which indices it was written.
"""

import random
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

from client.demo.encounters import Encounter
from l1.ground.codes import Label, MediaType, PurposeOfUse, RecordClass, Role
from l2.desk.drafts import AccessDraft, Draft, GrantDraft, ReceiptDraft, RequestDraft, RevokeDraft

__all__ = ["STAND_IN", "Allowed", "Asked", "Workload", "indices_of", "request_for"]

REVOKED_EVERY = 40  # one grant in so many is taken back once its accesses are over
GRANT_LIFE_MS = 30 * 86_400_000


class Asked(NamedTuple):
    """A request that stands in the recipient's log."""

    encounter: Encounter
    request: int


class Allowed(NamedTuple):
    """A grant that stands in the custodian's log."""

    encounter: Encounter
    grant: int


class Workload:
    """An endless, seeded stream of encounters, and the drafts they lead to."""

    def __init__(self, encounters: Sequence[Encounter], seed: int, *, now_ms: int) -> None:
        assert encounters
        self._chance = random.Random(f"interward workload {seed}")  # noqa: S311 - reproducible, not secret
        self._stream = self._shuffled(list(encounters))
        self._now_ms = now_ms

    def _shuffled(self, encounters: list[Encounter]) -> Iterator[Encounter]:
        while True:
            self._chance.shuffle(encounters)
            yield from encounters

    def next_encounters(self, count: int) -> list[Encounter]:
        return list(islice(self._stream, count))

    def ask(self, encounters: Sequence[Encounter]) -> list[Draft]:
        """The recipient's requests, one for each encounter."""
        return [request_for(encounter) for encounter in encounters]

    def answer(self, asked: Sequence[Asked]) -> list[Draft]:
        """The custodian's grants, one for each request."""
        from_ms, until_ms = self._now_ms - GRANT_LIFE_MS, self._now_ms + GRANT_LIFE_MS
        return [
            GrantDraft(
                consent=None,
                request=request,
                fee=0,
                purposes=1 << encounter.purpose,
                from_ms=from_ms,
                until_ms=until_ms,
                record_class=encounter.record_class,
                label=Label.N,
                media_type=MediaType.FHIR_JSON,
            )
            for encounter, request in asked
        ]

    def use(self, allowed: Sequence[Allowed]) -> list[Draft]:
        """The recipient's receipts, and the accesses of everybody who took part."""
        receipts = [ReceiptDraft(grant) for _, grant in allowed]
        accesses = [
            AccessDraft(grant, who, role, encounter.purpose)
            for encounter, grant in allowed
            for who, role in encounter.accesses
        ]
        return [*receipts, *accesses]

    def end(self, allowed: Sequence[Allowed]) -> list[Draft]:
        """The custodian takes a few grants back."""
        return [RevokeDraft(grant) for _, grant in allowed[::REVOKED_EVERY]]


def request_for(encounter: Encounter) -> RequestDraft:
    """What the practitioner of an encounter asks the custodian for."""
    return RequestDraft(
        patient=encounter.patient,
        purpose=encounter.purpose,
        practitioner=encounter.practitioner,
        role=encounter.role,
        classes=1 << encounter.record_class,
        data_from_ms=0,
        data_to_ms=encounter.until_ms,
        emergency=False,
        justification="",
    )


def indices_of(runs: Sequence[tuple[int, int]]) -> list[int]:
    """The indices at which consecutive drafts were written, from (first index, count) runs."""
    return list(chain.from_iterable(range(first, first + count) for first, count in runs))


STAND_IN = Encounter(
    patient="patient",
    practitioner="practitioner",
    role=Role.PHYSICIAN,
    purpose=PurposeOfUse.TREAT,
    record_class=RecordClass.BUNDLE,
    from_ms=0,
    until_ms=0,
    accesses=(("practitioner", Role.PHYSICIAN),) * 4,
)
"""For data sets in which nobody meets anybody (a folder of PDFs)."""
