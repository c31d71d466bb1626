"""The parties of a dispute in the demo, the channel at hand, and what the honest hospital writes in it."""

from typing import Any

from client.demo.accused import Accused
from client.demo.workload import indices_of
from client.demo.world import Hospital, World
from l1.ground.codes import Label, MediaType, RecordClass, mask
from l1.ground.hashing import digest
from l1.rules.state import Channel
from l2.desk.drafts import ConsentDraft, Draft, GrantDraft

__all__ = ["FOREVER_MS", "VERDICT_S", "Court", "consent_draft", "grant_draft"]

VERDICT_S = 60.0
FOREVER_MS = 4_000_000_000_000


class Court:
    """The parties, and the channel at hand."""

    def __init__(self, world: World, honest: Hospital, mallory: Accused) -> None:
        self.world, self.honest, self.mallory = world, honest, mallory
        self.channel = ""

    async def row(self) -> Channel:
        row = await self.world.reader.channel(bytes.fromhex(self.channel))
        assert row is not None
        return row

    async def write(self, *drafts: Draft) -> list[int]:
        """The honest hospital writes, and Mallory has seen it."""
        written = await self.honest.desk.append(self.channel, list(drafts), wait="durable")
        indices = indices_of(written.runs)
        assert len(indices) == len(drafts), written.refused
        await self.mallory.do("wait", channel=self.channel, size=max(indices) + 1)
        return indices

    async def granted(self, *, until_ms: int = FOREVER_MS) -> tuple[int, int]:
        """A consent, and a grant on it for treatment alone."""
        [consent] = await self.write(consent_draft())
        [grant] = await self.write(grant_draft(consent, until_ms))
        return consent, grant

    async def do(self, what: str, **fields: Any) -> dict[str, Any]:
        return await self.mallory.do(what, channel=self.channel, **fields)


def consent_draft(document: bytes = b"consent") -> ConsentDraft:
    return ConsentDraft(
        patient="patient-1", permit=True, purposes=0x1FF, classes=mask(RecordClass), label_ceiling=Label.V,
        from_ms=0, until_ms=FOREVER_MS, digest=digest(document),
    )  # fmt: skip


def grant_draft(consent: int, until_ms: int) -> GrantDraft:
    return GrantDraft(
        consent=consent, request=None, fee=0, purposes=1, from_ms=0, until_ms=until_ms,
        record_class=RecordClass.OBSERVATION, label=Label.N, media_type=MediaType.FHIR_JSON,
    )  # fmt: skip
