"""`interward demo --disputes`: Mallory does everything that two proofs can show, and the chain decides each time.

A chain and an honest hospital run as they always do; Mallory is a process of her own. Each misconduct has a channel of
its own. What is measured: the bytes that the chain had to be shown, the time until its row said so, the credits moved.
"""

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import trio
from rich.table import Table

from client.demo.court import BOND, DEPOSIT, VERDICT_S, Court, consent_draft, open_court
from client.demo.report import Check
from client.demo.restored import accused_by_a_stranger, restored, shown_by_the_liar
from client.demo.world import CREDITS_TOTAL, wait_until
from client.progress import Bars
from l1.ground.codec import encode
from l1.rules.evidence import Charge
from l1.rules.outcomes import open_item
from l1.rules.state import Phase
from l1.rules.transactions import account_of, decode_transaction
from l2.desk.drafts import ReceiptDraft, RevokeDraft, WithdrawDraft

__all__ = ["ACCUSED", "CRIMES", "LIED", "SCENES", "DisputeReport", "Verdict", "play_disputes"]

POLL_S = 0.02
PATIENT_MS = 60_000  # a window in which a hospital that has just started can answer
PERIOD_MS = 1_500  # of a grant that ends by itself


class Verdict(NamedTuple):
    """One misconduct and what came of it. `seconds` are from Mallory's words to the chain's row."""

    misconduct: str
    charge: str
    evidence_bytes: int
    seconds: float
    bond_moved: int


@dataclass
class DisputeReport:
    """What was seen. Ok when every misconduct had its verdict, and no credit was lost."""

    verdicts: list[Verdict] = field(default_factory=list)
    credits_conserved: bool = False
    seconds: float = 0.0
    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        found = asdict(self)
        found["verdicts"] = [verdict._asdict() for verdict in self.verdicts]
        found["checks"] = [check._asdict() for check in self.checks]
        return {**found, "ok": self.ok}

    def as_table(self) -> Table:
        table = Table(title="Interward disputes", title_justify="left", show_edge=False, pad_edge=False)
        for column in ("", "misconduct", "charge", "evidence", "verdict after", "bond moved"):
            table.add_column(column, overflow="fold")
        ok = {check.name: check.ok for check in self.checks}
        for one in self.verdicts:
            mark = "[green]✓[/]" if ok[one.misconduct] else "[red]✗[/]"
            row = (one.misconduct, one.charge, f"{one.evidence_bytes:,} bytes", f"{one.seconds:.1f} s")
            table.add_row(mark, *row, f"{one.bond_moved:,}")
        return table


# -- what Mallory does: each leaves her guilty of something -------------------------------------------------------


async def _closes_stale(court: Court) -> None:
    await court.do("request", count=2)
    await court.do("request", count=3)

    async def has_both() -> bool:
        return (await court.honest.desk.channel(court.channel)).theirs.size >= 5

    await wait_until("the honest hospital holds both", has_both, VERDICT_S)
    await court.do("close_stale")


async def _signs_two_roots(court: Court) -> None:
    await court.do("twice")


async def _signs_two_totals(court: Court) -> None:
    await court.do("twice", spent=1)


async def _signs_two_logs_of_two_sizes(court: Court) -> None:
    """No two words of hers have one size: an auditor's proof and the hospital's own log differ in an entry."""
    told = await court.do("fork")

    async def holds_it() -> bool:
        return (await court.honest.desk.channel(court.channel)).theirs.size == 1

    await wait_until("the honest hospital holds her entry", holds_it, VERDICT_S)
    assert await court.honest.desk.learn(told["proof"])


async def _takes_back_what_she_saw(court: Court) -> None:
    await court.write(consent_draft())
    await court.do("request")
    await court.do("fall")


async def _opens_after_revocation(court: Court) -> None:
    _, grant = await court.granted()
    await court.write(RevokeDraft(grant=grant))
    await court.do("access", grant=grant)


async def _opens_after_withdrawal(court: Court) -> None:
    consent, grant = await court.granted()
    await court.write(WithdrawDraft(consent=consent))
    await court.do("access", grant=grant)


async def _opens_what_was_not_granted(court: Court) -> None:
    consent, _ = await court.granted()
    await court.do("access", grant=consent)


async def _opens_for_another_purpose(court: Court) -> None:
    _, grant = await court.granted()
    await court.do("access", grant=grant, purpose=5)


async def _opens_after_the_period(court: Court) -> None:
    until_ms = time.time_ns() // 1_000_000 + PERIOD_MS
    _, grant = await court.granted(until_ms=until_ms)
    await trio.sleep(max(0, until_ms - time.time_ns() // 1_000_000) / 1000 + 0.05)
    await court.do("access", grant=grant)


async def _spends_what_she_has_not(court: Court) -> None:
    await court.do("request", spent=DEPOSIT + 1)


async def _keeps_back_a_release(court: Court) -> None:
    grant = int((await court.do("grant"))["index"])

    async def holds_it() -> bool:
        return (await court.honest.desk.channel(court.channel)).theirs.size > grant

    await wait_until("the grant has come", holds_it, VERDICT_S)
    [receipt] = await court.write(ReceiptDraft(grant=grant))
    await court.honest.desk.demand(court.channel, receipt)


Crime = Callable[[Court], Awaitable[None]]

CRIMES: dict[str, tuple[Crime, Charge]] = {
    "closes with an old commitment": (_closes_stale, Charge.STALE_CLOSE),
    "signs two logs of one size": (_signs_two_roots, Charge.EQUIVOCATION),
    "signs two totals at one size": (_signs_two_totals, Charge.EQUIVOCATION),
    "signs two logs of two sizes": (_signs_two_logs_of_two_sizes, Charge.EQUIVOCATION),
    "takes back what she has seen": (_takes_back_what_she_saw, Charge.EQUIVOCATION),
    "opens a record after its revocation": (_opens_after_revocation, Charge.ACCESS_AFTER_END),
    "opens a record after consent was withdrawn": (_opens_after_withdrawal, Charge.ACCESS_AFTER_END),
    "opens what was not granted": (_opens_what_was_not_granted, Charge.ACCESS_WITHOUT_GRANT),
    "opens a record for another purpose": (_opens_for_another_purpose, Charge.ACCESS_OUTSIDE_PURPOSE),
    "opens a record after its period": (_opens_after_the_period, Charge.ACCESS_OUTSIDE_PERIOD),
    "spends what she has not": (_spends_what_she_has_not, Charge.OVERSPEND),
    "keeps back a release": (_keeps_back_a_release, Charge.KEPT_BACK_RELEASE),
}
ACCUSED, LIED = "has a restored hospital accused", "shows what her own resume denies"
SCENES = (*CRIMES, ACCUSED, LIED)
"""Everything that is played, in order; the last two are one story."""


# -- playing ------------------------------------------------------------------------------------------------------


async def play_disputes(folder: Path, bars: Bars, only: tuple[str, ...] = ()) -> DisputeReport:
    """Play them all, or `only` some. Raises what breaks a scene; checks that fail are noted in the report."""
    report, began = DisputeReport(), time.monotonic()
    async with AsyncExitStack() as stack:
        with bars.stage("Start a chain, an honest hospital, and Mallory"):
            court = await stack.enter_async_context(open_court(folder))
        for name, (crime, charge) in CRIMES.items():
            if not only or name in only:
                with bars.stage(f"Mallory {name}"):
                    await _try(court, report, name, crime, charge)
        if not only or {ACCUSED, LIED} & set(only):
            with bars.stage("A hospital is restored from a backup, and accused"):
                await _try_restored(court, report)
        await _books(court, report)
    report.seconds = round(time.monotonic() - began, 1)
    return report


async def _try_restored(court: Court, report: DisputeReport) -> None:
    """[START-6] The hospital is cleared, at no cost to anybody; [RESUME-6] then Mallory shows it herself."""
    await court.open(PATIENT_MS)
    evidence = await restored(court)
    size, before, began = len(evidence) // 2, await _credits(court), time.monotonic()
    cleared = await accused_by_a_stranger(court, evidence)
    moved = await _credits(court) - before
    report.verdicts.append(Verdict(ACCUSED, "cleared", size, round(time.monotonic() - began, 2), moved))
    report.checks.append(Check(ACCUSED, cleared and moved == 0, f"cleared: {moved} moved, {size} bytes of evidence"))
    began = time.monotonic()
    await shown_by_the_liar(court, evidence)
    await wait_until("the chain has judged her lie", lambda: _judged(court, Charge.LYING_RESUME), VERDICT_S)
    moved = await _credits(court) - before
    report.verdicts.append(Verdict(LIED, "lying resume", size, round(time.monotonic() - began, 2), moved))
    report.checks.append(Check(LIED, moved == BOND, f"lying resume: {moved} of {BOND} moved"))


async def _try(court: Court, report: DisputeReport, name: str, crime: Crime, charge: Charge) -> None:
    await court.open()
    before = await _credits(court)
    height = court.world.reader.tip.height
    await crime(court)
    began = time.monotonic()
    await wait_until(f"the chain has judged that Mallory {name}", lambda: _judged(court, charge), VERDICT_S)
    seconds = time.monotonic() - began
    if charge is Charge.STALE_CLOSE:
        await wait_until("the channel is settled", lambda: _settled(court), VERDICT_S)
        moved = await _credits(court) - before - DEPOSIT - BOND
    else:
        moved = await _credits(court) - before
    size = await _evidence_bytes(court, height)
    named = charge.name.lower().replace("_", " ")
    report.verdicts.append(Verdict(name, named, size, round(seconds, 2), moved))
    kept = [case for case in await court.honest.desk.disputes() if case.channel == court.channel]
    found = charge in (Charge.STALE_CLOSE, Charge.KEPT_BACK_RELEASE) or [case.charge for case in kept] == [named]
    ok = moved == BOND and size > 0 and found
    report.checks.append(Check(name, ok, f"{named}: {moved} of {BOND} moved, {size} bytes of evidence"))


async def _credits(court: Court) -> int:
    found = await court.world.reader.account(court.honest.id)
    return 0 if found is None else found.credits


async def _judged(court: Court, charge: Charge) -> bool:
    row = await court.row()
    if charge is Charge.STALE_CLOSE:
        return row.stale and row.closer == 0
    return bool(row.sides[0].guilty == charge)


async def _settled(court: Court) -> bool:
    return (await court.row()).phase == Phase.SETTLED


async def _evidence_bytes(court: Court, height: int) -> int:
    """What the honest hospital had to show the chain in this channel: the largest of its actions about it."""
    reader, sizes = court.world.reader, [0]
    tip = await reader.sync()
    while height < tip.height:
        for header, items in await reader.blocks(height + 1):
            height = header.height
            for item in items:
                asked, _ = decode_transaction(open_item(item)[0], reader.chain)
                action = asked.action
                shown = type(action).__name__ in ("Challenge", "Report", "Demand")
                if shown and getattr(action, "channel", b"").hex() == court.channel:
                    sizes.append(len(encode(action)))
    return max(sizes)


async def _books(court: Court, report: DisputeReport) -> None:
    """Every credit is in an account or locked in a channel that is still open."""
    accounts = (account_of(court.world.registrar.public_key), court.honest.id, court.mallory.id)
    held = 0
    for account in accounts:
        found = await court.world.reader.account(account)
        held += 0 if found is None else found.credits
    for row in await court.world.reader.channels_of(court.honest.id):
        if row.phase != Phase.SETTLED:
            held += sum(side.deposit + side.bond for side in row.sides)
    report.credits_conserved = held == CREDITS_TOTAL
    report.checks.append(Check("credits conserved", report.credits_conserved, f"{held:,} of {CREDITS_TOTAL:,}"))
