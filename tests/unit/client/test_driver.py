"""The driver writes only what a hospital would take: it refers to what stands, at the index where it stands."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
import trio

from client.demo.encounters import Encounter
from client.demo.workload import STAND_IN, Workload, indices_of
from client.driver import CUSTODIAN, RECIPIENT, Driver
from l1.ground.faults import Refused
from l2.desk.desk import Desk
from l2.desk.drafts import AccessDraft, Draft, GrantDraft, ReceiptDraft, RequestDraft, RevokeDraft
from l2.desk.words import Latency, RefusedDraft, Written


class Log:
    """Takes drafts, gives them indices with holes as a hospital does, and keeps what stands where."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.entries: dict[int, Draft] = {}
        self.size = 0
        self.refuses = refuses

    async def append(self, channel: str, drafts: Sequence[Draft]) -> Written:
        await trio.lowlevel.checkpoint()
        assert channel == "channel"
        if self.refuses:
            return Written(
                first=0, last=0, written=0, refused=(RefusedDraft(position=0, reason="no"),), refused_count=1
            )
        runs: list[tuple[int, int]] = []
        first = self.size + 1
        for at in range(0, len(drafts), 7):
            self.size += 1  # a `seen` comes between
            part = drafts[at : at + 7]
            runs.append((self.size, len(part)))
            self.entries.update(zip(range(self.size, self.size + len(part)), part, strict=True))
            self.size += len(part)
        latency = Latency(p50=1.0, p99=2.0, max=3.0)
        return Written(first=first, last=self.size - 1, written=len(drafts), runs=tuple(runs), latency_ms=latency)


def make_driver(recipient: Log, custodian: Log, encounters: list[Encounter] | None = None) -> Driver:
    workload = Workload(encounters or [STAND_IN], 1, now_ms=10**12)
    return Driver(cast(Desk, recipient), cast(Desk, custodian), "channel", workload, chunk=60)


async def test_what_is_referred_to_stands() -> None:
    recipient, custodian = Log(), Log()
    driver = make_driver(recipient, custodian)
    measured = await driver.run(2_000)
    assert measured.updates == len(recipient.entries) + len(custodian.entries) >= 2_000
    assert driver.acknowledged[RECIPIENT] <= recipient.size
    assert driver.acknowledged[CUSTODIAN] <= custodian.size
    for draft in recipient.entries.values():
        match draft:
            case AccessDraft(grant=grant) | ReceiptDraft(grant=grant):
                assert isinstance(custodian.entries[grant], GrantDraft)
            case _:
                assert isinstance(draft, RequestDraft)
    for draft in custodian.entries.values():
        match draft:
            case GrantDraft(request=request):
                assert request is not None
                assert isinstance(recipient.entries[request], RequestDraft)
            case _:
                assert isinstance(draft, RevokeDraft)
                assert isinstance(custodian.entries[draft.grant], GrantDraft)


async def test_no_grant_is_used_after_its_revocation() -> None:
    custodian = Log()
    await make_driver(Log(), custodian).run(2_000)
    revoked = [draft.grant for draft in custodian.entries.values() if isinstance(draft, RevokeDraft)]
    assert revoked
    assert len(revoked) == len(set(revoked))


async def test_a_refused_draft_stops_the_run() -> None:
    with pytest.RaisesGroup(Refused):
        await make_driver(Log(refuses=True), Log()).run(10)


async def test_progress_is_told() -> None:
    told: list[int] = []
    measured = await make_driver(Log(), Log()).run(500, told.append)
    assert sum(told) == measured.updates
    assert (measured.p50_ms, measured.p99_ms) == (1.0, 2.0)


def test_no_entry_is_repeated() -> None:
    workload = Workload([STAND_IN], 1, now_ms=0)
    asked: list[Any] = workload.ask(workload.next_encounters(3))
    assert len(asked) == 3
    assert indices_of([(3, 2), (9, 1)]) == [3, 4, 9]
