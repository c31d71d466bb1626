"""One hospital's stream of updates, made before it is measured: so that the measuring costs the measured little.

What a recipient of many records writes in a day, drawn from real encounters: receipts of what it was granted, an
access for everybody who took part, grants of its own records in return, and some requests. It refers only to entries
that were written beforehand (the groundwork), so nothing waits for an answer. Pure of IO; seeded.
"""

import random
from collections.abc import Iterator, Sequence
from itertools import islice

from client.demo.encounters import Encounter
from client.demo.workload import request_for
from l1.ground.codes import Label, MediaType, RecordClass, mask
from l1.ground.hashing import digest
from l2.desk.drafts import (
    AccessDraft,
    ConsentDraft,
    Draft,
    GrantDraft,
    ReceiptDraft,
    RevokeDraft,
    encode_drafts,
)

__all__ = ["REVOKED_EVERY", "Stream", "consents_of", "grants_of"]

CHUNK_ENTRIES = 8_000  # drafts in one message to the desk
LIFE_MS = 30 * 86_400_000
GRANTED_EVERY = 2  # encounters for which the stream's hospital grants a record of its own
REVOKED_EVERY = 40
REQUESTS_MAX = 3_000  # a hospital may have 4,096 unanswered at once, and here nobody answers
ALL = mask(RecordClass)


def consents_of(encounters: Sequence[Encounter], now_ms: int) -> list[Draft]:
    """One consent for each patient, that permits every purpose."""
    return [
        ConsentDraft(
            patient=patient,
            permit=True,
            purposes=0x1FF,
            classes=ALL,
            label_ceiling=Label.V,
            from_ms=0,
            until_ms=now_ms + 2 * LIFE_MS,
            digest=digest(patient.encode()),
        )
        for patient in dict.fromkeys(encounter.patient for encounter in encounters)
    ]


def grants_of(encounters: Sequence[Encounter], consents: dict[str, int], now_ms: int) -> list[Draft]:
    """A grant for each encounter, on its patient's consent."""
    return [_grant(encounter, consents, now_ms) for encounter in encounters]


def _grant(encounter: Encounter, consents: dict[str, int], now_ms: int) -> GrantDraft:
    return GrantDraft(
        consent=consents[encounter.patient],
        request=None,
        fee=0,
        purposes=1 << encounter.purpose,
        from_ms=now_ms - LIFE_MS,
        until_ms=now_ms + LIFE_MS,
        record_class=encounter.record_class,
        label=Label.N,
        media_type=MediaType.FHIR_JSON,
    )


class Stream:
    """An endless, seeded stream of drafts over grants of the peer's and consents of the hospital's own."""

    def __init__(
        self,
        encounters: Sequence[Encounter],
        *,
        granted: Sequence[int],
        consents: dict[str, int],
        revocable: Sequence[int],
        seed: int,
        now_ms: int,
    ) -> None:
        """`granted[i]` is the peer's grant for `encounters[i]`; `revocable` are grants of the hospital's own."""
        assert len(granted) == len(encounters)
        self._pairs = list(zip(encounters, granted, strict=True))
        self._consents, self._now_ms = consents, now_ms
        self._revocable = iter(revocable)
        self._chance = random.Random(f"interward stream {seed}")  # noqa: S311 - reproducible, not secret
        self._drafts = self._flow()
        self._requests = 0

    def take(self, count: int) -> list[Draft]:
        """The next drafts."""
        return list(islice(self._drafts, count))

    def chunk(self, count: int) -> bytes:
        """The next drafts, encoded as a desk takes them."""
        return encode_drafts(self.take(count))

    def chunks(self, count: int, at_most: int = CHUNK_ENTRIES) -> list[bytes]:
        """The next `count` drafts, in requests of `at_most`."""
        return [self.chunk(min(at_most, count - at)) for at in range(0, count, at_most)]

    def _flow(self) -> Iterator[Draft]:
        for number, (encounter, grant) in enumerate(self._pairs):
            yield ReceiptDraft(grant)
            yield from self._accesses(encounter, grant)
            if number % GRANTED_EVERY == 0:
                yield _grant(encounter, self._consents, self._now_ms)
            if number % REVOKED_EVERY == 0 and (ended := next(self._revocable, None)) is not None:
                yield RevokeDraft(ended)
            if self._requests < REQUESTS_MAX and number % 10 == 0:
                self._requests += 1
                yield request_for(encounter)
        while True:  # care goes on: the same records are opened again, in another order
            self._chance.shuffle(self._pairs)
            for encounter, grant in self._pairs:
                yield from self._accesses(encounter, grant)

    @staticmethod
    def _accesses(encounter: Encounter, grant: int) -> Iterator[Draft]:
        for who, role in encounter.accesses:
            yield AccessDraft(grant, who, role, encounter.purpose)
