"""Appends that a desk asks for: entries are queued in the order in which they come; what became of them is told later.

Knows the wait for room, for the disk and for the peer, and the words in which a desk hears of it. Entries that are
queued are written, whoever still waits for them.
"""

from collections.abc import Sequence

import trio

from l1.ground.faults import LocalError
from l1.rules.log.entries import Entry, Terms
from l2.desk import words
from l2.desk.drafts import Wait
from l2.node.exchange.dealing import why_void
from l2.node.keeper import Keeper
from l2.node.outcomes import Outcome

__all__ = ["Appended", "queue"]

WRITTEN_S = 110.0  # a little less than a desk waits for its answer
REFUSALS_SHOWN = 20


class Appended:
    """Entries that are queued. A desk waits for what became of them until `until_s`."""

    def __init__(self, outcome: Outcome, until_s: float) -> None:
        self._outcome, self._until_s = outcome, until_s

    async def written(self, wait: Wait) -> words.Written:
        """Once they are on our disk (`durable`) or acknowledged by the peer (`receipt`). Raises `LocalError`."""
        outcome = self._outcome
        stage = outcome.durable if wait == "durable" else outcome.receipted
        with trio.move_on_at(self._until_s):
            await outcome.durable.wait()
            await stage.wait()
        if outcome.error is not None:
            raise outcome.error
        if not stage.is_set():
            cause = f"{outcome.written} of {outcome.total} entries are written, but the wait for the {wait} was in vain"
            raise LocalError(cause, "Is the peer connected? See `interward channel show`. Do not send them again.")
        return _written(outcome)


async def queue(keeper: Keeper, entries: Sequence[Entry], terms: Sequence[Terms]) -> Appended:
    """Raises `LocalError` where there is no room for them in time: then none of them is written."""
    until_s = trio.current_time() + WRITTEN_S
    with trio.move_on_at(until_s):
        return Appended(await keeper.append(entries, terms), until_s)
    cause = "none of the entries is written: too many wait for the peer already"
    raise LocalError(cause, "Is the peer connected? See `interward channel show`. Send them again later.")


def _written(outcome: Outcome) -> words.Written:
    refused = [words.RefusedDraft(position=at, reason=why_void(reason)) for at, reason in outcome.refused]
    runs = tuple(sorted(outcome.runs))
    return words.Written(
        first=runs[0][0] if runs else -1,
        last=outcome.last,
        written=outcome.written,
        runs=runs,
        refused=tuple(refused[:REFUSALS_SHOWN]),
        refused_count=len(refused),
        latency_ms=_latency(sorted(outcome.latencies_ms)),
    )


def _latency(sorted_ms: list[float]) -> words.Latency | None:
    if not sorted_ms:
        return None
    most = len(sorted_ms) - 1
    return words.Latency(p50=sorted_ms[most // 2], p99=sorted_ms[round(most * 0.99)], max=sorted_ms[most])
