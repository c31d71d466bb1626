"""The parties of a dispute in the demo, the channel at hand, and what the honest hospital writes in it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from client.admission import admit, read_admission
from client.demo.accused import Accused
from client.demo.workload import indices_of
from client.demo.world import Hospital, World, open_world
from l1.ground.codes import Label, MediaType, RecordClass, mask
from l1.ground.hashing import digest
from l1.rules.state import Channel
from l2.desk.drafts import ConsentDraft, Draft, GrantDraft

__all__ = ["BOND", "DEPOSIT", "FOREVER_MS", "VERDICT_S", "Court", "consent_draft", "grant_draft", "open_court"]

GIFT = 100_000
DEPOSIT, BOND, WINDOW_MS = 1_000, 500, 2_000

VERDICT_S = 60.0
FOREVER_MS = 4_000_000_000_000


class Court:
    """The parties, and the channel at hand."""

    def __init__(self, world: World, honest: Hospital, mallory: Accused) -> None:
        self.world, self.honest, self.mallory = world, honest, mallory
        self.channel = ""

    async def open(self, window_ms: int = WINDOW_MS) -> None:
        """Mallory opens a channel with the honest hospital; from now on it is the one at hand."""
        terms = {"deposit": DEPOSIT, "bond": BOND, "window_ms": window_ms}
        self.channel = (await self.mallory.do("open", peer=self.honest.id.hex(), **terms))["channel"]

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


@asynccontextmanager
async def open_court(folder: Path) -> AsyncIterator[Court]:
    """A chain, an honest hospital, and Mallory, admitted as any hospital: the registrar cannot know."""
    async with open_world(folder) as world:
        await world.found_chain(follower=False)
        honest = await world.add_hospital("A", GIFT)
        mallory = await Accused.start(world)
        try:
            admission = read_admission(json.dumps(mallory.ready["admission"]).encode())
            await admit(world.reader, world.registrar, admission, GIFT)
            yield Court(world, honest, mallory)
        finally:
            with trio.CancelScope(shield=True):
                await mallory.stop()


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
