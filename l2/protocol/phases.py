"""Where a channel is, for the hospital that keeps it. The table is the only authority."""

from enum import IntEnum

__all__ = ["PHASES", "Cue", "Phase", "advance"]


class Phase(IntEnum):
    OPEN = 1
    CLOSING = 2  # this side has written that it signs no commitment any more
    ON_CHAIN = 3  # one side closed alone: the window runs
    FROZEN = 4  # the peer did what proofs can show, or lost our trust; nothing is signed
    SETTLED = 5


class Cue(IntEnum):
    CLOSE_DECIDED = 1
    CLOSE_POSTED = 2
    PEER_FAULT = 3
    PAID_OUT = 4


PHASES: dict[Phase, dict[Cue, Phase]] = {
    Phase.OPEN: {
        Cue.CLOSE_DECIDED: Phase.CLOSING,
        Cue.CLOSE_POSTED: Phase.ON_CHAIN,
        Cue.PEER_FAULT: Phase.FROZEN,
        Cue.PAID_OUT: Phase.SETTLED,
    },
    Phase.CLOSING: {
        Cue.CLOSE_DECIDED: Phase.CLOSING,
        Cue.CLOSE_POSTED: Phase.ON_CHAIN,
        Cue.PEER_FAULT: Phase.FROZEN,
        Cue.PAID_OUT: Phase.SETTLED,
    },
    Phase.FROZEN: {
        Cue.CLOSE_DECIDED: Phase.FROZEN,
        Cue.CLOSE_POSTED: Phase.ON_CHAIN,
        Cue.PEER_FAULT: Phase.FROZEN,
        Cue.PAID_OUT: Phase.SETTLED,
    },
    Phase.ON_CHAIN: {
        Cue.CLOSE_DECIDED: Phase.ON_CHAIN,
        Cue.CLOSE_POSTED: Phase.ON_CHAIN,
        Cue.PEER_FAULT: Phase.ON_CHAIN,
        Cue.PAID_OUT: Phase.SETTLED,
    },
    Phase.SETTLED: dict.fromkeys(Cue, Phase.SETTLED),
}


def advance(phase: Phase, cue: Cue) -> Phase:
    """The phase after a cue."""
    return PHASES[phase][cue]
