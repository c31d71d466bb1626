"""The demo's end: A closes with an old commitment, B answers by itself, the chain decides, and the books are checked.

Each scene takes the stage and the report, does one thing, and notes what it saw.
"""

from pathlib import Path

import httpx
import trio

from client.demo.records import ANSWER_S, BOND, DEPOSIT, WINDOW_MS, Stage
from client.demo.report import Report
from client.demo.world import CREDITS_TOTAL, wait_until
from l1.ground.faults import Refused
from l1.rules.blocks import Header, decode_header
from l1.rules.state import Channel, Phase
from l1.rules.transactions import account_of

__all__ = ["a_closes_stale", "books_are_checked", "channel_settles"]

SETTLE_S = WINDOW_MS / 1000 + 60.0
FOLLOW_S = 20.0


async def _row(stage: Stage) -> Channel:
    row = await stage.world.reader.channel(bytes.fromhex(stage.channel))
    assert row is not None, "a channel that was open is never forgotten"
    return row


async def a_closes_stale(stage: Stage, report: Report, old: Path) -> None:
    """A stops, and posts the close that its older copy would have been right to post then. B answers alone."""
    size = (await stage.b.desk.channel(stage.channel)).theirs.size
    await stage.a.stop()
    await stage.world.run("A-older-copy", ["l2.node", "close-from-folder", "--folder", str(old)])

    async def answered() -> bool:
        return (await _row(stage)).stale

    await wait_until("B has answered the stale close on the chain", answered, ANSWER_S)
    row = await _row(stage)
    closer = row.closer
    ok = closer is not None and row.sides[closer].posted.size >= size
    report.stale_close = report.check(
        "B answers the stale close", ok, f"B showed A's newer head of {size:,} entries on the chain"
    )


async def channel_settles(stage: Stage, report: Report) -> None:
    """After the window the channel settles: the deposits by what was spent, both bonds to B."""

    async def settled() -> bool:
        row = await _row(stage)
        if row.phase == Phase.SETTLED:
            return True
        if (await stage.world.reader.status()).clock_ms >= row.closes_at_ms:
            try:
                await stage.b.desk.settle(stage.channel)
            except Refused:
                return False  # B may have settled by itself a moment ago, or the window ends with the next block
        return False

    await wait_until("the channel is settled", settled, SETTLE_S)
    row = await _row(stage)
    side_a = row.opening.hospitals.index(stage.a.id)
    paid = {"A": row.sides[side_a].paid_out, "B": row.sides[1 - side_a].paid_out}
    report.payouts = paid
    spent_a, spent_b = row.sides[side_a].spent, row.sides[1 - side_a].spent
    due_a = min(max(DEPOSIT - spent_a + spent_b, 0), 2 * DEPOSIT)
    due = {"A": due_a, "B": 2 * DEPOSIT - due_a + 2 * BOND}
    report.bond_forfeited = BOND if paid == due else 0
    report.settled = report.check("settled, bond forfeited", paid == due, f"A got {paid['A']:,}, B got {paid['B']:,}")


async def books_are_checked(stage: Stage, report: Report) -> None:
    """Every credit is accounted for, the true A comes back, both logs verify, the follower has the same state."""
    await _credits_add_up(stage, report)
    await stage.a.start()
    await _logs_verify(stage, report)
    await _follower_agrees(stage, report)


async def _credits_add_up(stage: Stage, report: Report) -> None:
    accounts = {
        "registrar": account_of(stage.world.registrar.public_key),
        stage.a.name: stage.a.id,
        stage.b.name: stage.b.id,
    }
    held = {}
    for name, account in accounts.items():
        found = await stage.world.reader.account(account)
        held[name] = 0 if found is None else found.credits
    report.credits_conserved = sum(held.values()) == CREDITS_TOTAL
    text = f"{sum(held.values()):,} of {CREDITS_TOTAL:,} in {len(held)} accounts, by state proofs"
    report.check("credits conserved", report.credits_conserved, text)


async def _logs_verify(stage: Stage, report: Report) -> None:
    at_a = await stage.a.desk.verify_log(stage.channel)
    at_b = await stage.b.desk.verify_log(stage.channel)
    same = at_a.roots == (at_b.roots[1], at_b.roots[0]) and at_a.sizes == (at_b.sizes[1], at_b.sizes[0])
    report.entries = sum(at_b.sizes)
    report.logs_verified = at_a.ok and at_b.ok and same
    text = f"{at_b.sizes[1]:,} entries of A and {at_b.sizes[0]:,} of B, read again from entry 0 at both"
    report.check("both logs verify", report.logs_verified, text)


async def _follower_agrees(stage: Stage, report: Report) -> None:
    """Same header, hence same state root, at a height that both have."""
    world = stage.world
    tip = await world.reader.sync()
    async with httpx.AsyncClient(base_url=world.follower.url, trust_env=False) as http:
        theirs: Header | None = None
        with trio.move_on_after(FOLLOW_S):
            while theirs is None:
                answer = await http.get("/v1/headers", params={"from": tip.height, "count": 1})
                headers = answer.json()["headers"]
                theirs = decode_header(bytes.fromhex(headers[0]["body"])) if headers else None
                await trio.sleep(0.05)
    report.blocks = tip.height
    report.follower_agrees = theirs == tip
    text = f"state root {tip.state.hex()[:8]}… at block {tip.height}, every block executed again"
    report.check("follower agrees", report.follower_agrees, text)
