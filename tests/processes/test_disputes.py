"""Mallory before the chain, with real processes: a few of her misdeeds, and a hospital killed over its proof."""

import signal
from pathlib import Path

import pytest

from client.demo.court import BOND, Court, open_court
from client.demo.disputes import ACCUSED, LIED, play_disputes
from client.demo.world import wait_until
from client.progress import show_progress
from l1.ground.faults import Refused
from l1.rules.evidence import Charge

pytestmark = pytest.mark.slow

FEW = (
    "signs two logs of one size",
    "opens a record after consent was withdrawn",
    "keeps back a release",
    "signs two logs of two sizes",
    ACCUSED,
    LIED,
)
PATIENCE_S = 90.0
CHARGE = "access without grant"


async def test_the_chain_decides(tmp_path: Path) -> None:
    with show_progress() as bars:
        report = await play_disputes(tmp_path, bars, FEW)
    assert [check.name for check in report.checks if not check.ok] == []
    assert report.ok
    assert {verdict.misconduct for verdict in report.verdicts} == set(FEW)
    for verdict in report.verdicts:
        assert verdict.bond_moved == (0 if verdict.misconduct == ACCUSED else BOND)
        assert 100 < verdict.evidence_bytes < 2_000


async def test_proof_survives_the_hospital_that_found_it(tmp_path: Path) -> None:
    async with open_court(tmp_path) as court:
        await court.open()
        consent, _ = await court.granted()
        court.world.chain.signal(signal.SIGSTOP)  # nobody can be told now
        await court.do("access", grant=consent)
        await _is_found(court)
        await court.honest.kill()
        court.world.chain.signal(signal.SIGCONT)
        await court.honest.start()
        await _is_judged(court)
        await _is_shown(court)


async def _is_found(court: Court) -> None:
    async def found() -> bool:
        return [case.charge for case in await court.honest.desk.disputes()] == [CHARGE]

    await wait_until("the hospital has found it", found, PATIENCE_S)
    assert (await court.honest.desk.channel(court.channel)).state == "frozen"


async def _is_judged(court: Court) -> None:
    async def judged() -> bool:
        return bool((await court.row()).sides[0].guilty == Charge.ACCESS_WITHOUT_GRANT)

    await wait_until("the chain has judged", judged, PATIENCE_S)


async def _is_shown(court: Court) -> None:
    desk, channel = court.honest.desk, court.channel

    async def shown() -> bool:
        return [case.stand for case in await desk.disputes()] == ["decided"]

    await wait_until("the hospital knows", shown, PATIENCE_S)
    proof = await desk.prove_access(channel, 1)
    assert proof.charge == CHARGE
    assert proof.evidence == (await desk.dispute(channel, 0)).evidence
    assert {"charged", "frozen", "reported"} <= {note.reason for note in (await desk.story(channel)).notes}
    ours, theirs = await desk.quarrels(channel)
    assert (ours.guilty, theirs.guilty, theirs.bond) == (None, CHARGE, 0)
    with pytest.raises(Refused):
        await desk.file_dispute(channel, 0)
