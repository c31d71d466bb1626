"""The phases of a channel on L1, as one table: the only authority, the diagram in the docs, and a test."""

from enum import Enum

from l1.ground.faults import Fault, Refused
from l1.rules.state import Phase

__all__ = ["PHASES", "Cue", "after", "diagram"]


class Cue(Enum):
    """What can happen to a channel."""

    DEPOSIT = "deposit"
    CHECKPOINT = "checkpoint"
    RESUME = "resume"
    CLOSE_ALONE = "close alone"
    CHALLENGE = "challenge"
    REPORT = "report"
    DEMAND = "demand"
    REVEAL = "reveal"
    CLOSE_TOGETHER = "close together"
    DECIDE = "decide claims"
    SETTLE = "settle"


PHASES: dict[Phase, dict[Cue, Phase]] = {
    Phase.OPEN: {
        Cue.DEPOSIT: Phase.OPEN,
        Cue.CHECKPOINT: Phase.OPEN,
        Cue.RESUME: Phase.OPEN,
        Cue.REPORT: Phase.OPEN,
        Cue.DEMAND: Phase.OPEN,
        Cue.REVEAL: Phase.OPEN,
        Cue.DECIDE: Phase.OPEN,
        Cue.CLOSE_ALONE: Phase.CLOSING,
        Cue.CLOSE_TOGETHER: Phase.SETTLED,
    },
    Phase.CLOSING: {
        Cue.RESUME: Phase.CLOSING,
        Cue.CLOSE_ALONE: Phase.CLOSING,
        Cue.CHALLENGE: Phase.CLOSING,
        Cue.REPORT: Phase.CLOSING,
        Cue.DEMAND: Phase.CLOSING,
        Cue.REVEAL: Phase.CLOSING,
        Cue.CLOSE_TOGETHER: Phase.SETTLED,
        Cue.SETTLE: Phase.SETTLED,
    },
    Phase.SETTLED: {},
}


def after(phase: int, cue: Cue) -> Phase:
    """The phase that the cue leads to. Raises `Refused` (WRONG_PHASE) where it has no place."""
    following = PHASES[Phase(phase)].get(cue)
    if following is None:
        raise Refused(Fault.WRONG_PHASE, f"{cue.value} has no place in a channel that is {Phase(phase).name.lower()}")
    return following


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> OPEN: open"]
    for phase, cues in PHASES.items():
        lines += [f"    {phase.name} --> {following.name}: {cue.value}" for cue, following in cues.items()]
    ends = [phase for phase, cues in PHASES.items() if not cues]
    return "\n".join([*lines, *(f"    {phase.name} --> [*]" for phase in ends)])
