"""What becomes of appends: from the ticket that the core names to the events that a caller waits for."""

from dataclasses import dataclass, field

import trio

from l1.ground.faults import LocalError
from l1.rules.log.fold import Void
from l2.protocol.events import Written

__all__ = ["Outcome", "Outcomes"]


@dataclass(slots=True)
class Outcome:
    """What became of an append. `runs` are (first index, count), `written` their sum and `last` the index of the last
    entry; `refused` are positions with the fold's reason."""

    total: int
    appended_s: float
    written: int = 0
    last: int = -1
    runs: list[tuple[int, int]] = field(default_factory=list)
    refused: list[tuple[int, Void]] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    durable: trio.Event = field(default_factory=trio.Event)
    receipted: trio.Event = field(default_factory=trio.Event)
    error: LocalError | None = None


class Outcomes:
    """Of all appends that are not yet durable, or whose receipt is still to come."""

    def __init__(self) -> None:
        self._tickets: dict[int, Outcome] = {}
        self._last_ticket = 0
        self._awaiting: list[tuple[int, Outcome]] = []  # the size up to which the peer must hold our log, in its order

    def begin(self, total: int) -> tuple[int, Outcome]:
        """A ticket for an append of so many entries, and its outcome."""
        self._last_ticket += 1
        outcome = self._tickets[self._last_ticket] = Outcome(total=total, appended_s=trio.current_time())
        return self._last_ticket, outcome

    def forget(self, ticket: int) -> None:
        """It was never handed to the core."""
        del self._tickets[ticket]

    def note_written(self, written: Written, acknowledged: int) -> None:
        """Part of it is durable; the peer is known to hold our log up to `acknowledged`."""
        outcome = self._tickets[written.ticket]
        if written.count:
            end = written.first + written.count
            outcome.runs.append((written.first, written.count))
            outcome.written, outcome.last = outcome.written + written.count, end - 1
            self._awaiting.append((end, outcome))
        outcome.refused += written.refused
        if outcome.written + len(outcome.refused) == outcome.total:
            del self._tickets[written.ticket]
            outcome.durable.set()
            if outcome.last < acknowledged:
                outcome.receipted.set()

    def note_declined(self, ticket: int, cause: str) -> None:
        outcome = self._tickets.pop(ticket)
        outcome.error = LocalError(cause, "Entries go only into an open channel.")
        outcome.durable.set()
        outcome.receipted.set()

    def note_acknowledged(self, size: int) -> None:
        """The peer holds our log up to there, and signed so."""
        now_s, done = trio.current_time(), 0
        for upto, outcome in self._awaiting:
            if upto > size:
                break
            done += 1
            outcome.latencies_ms.append((now_s - outcome.appended_s) * 1000)
            if outcome.durable.is_set() and outcome.last < size:
                outcome.receipted.set()
        del self._awaiting[:done]
