"""The story of a channel in plain words: what each note of its journal means, how it stands, and what to do.

Knows the journal's reasons by their names; a newer hospital's unknown reason is told by its own name and detail.
"""

from client.wording import moment
from l2.desk.words import ChannelView, Story, StoryNote

__all__ = ["advice_of", "reason_of", "tell"]

MEANINGS = {
    "resumed": "The hospital's process had started anew; the peer signed what it holds, so it may sign again",
    "frozen": "Frozen: the peer did what no honest peer does, and nothing is signed any more",
    "batch_held": "A batch of the peer's is kept until its time comes",
    "resume_not_given": "The peer's new process was not allowed to sign yet",
    "doubt": "What the peer says does not fit our disk. If an old copy was restored: `hospital restore --from-peers`",
    "clock_off": "Our clock and the chain's were minutes apart: nothing was signed",
    "clock_right": "Our clock agreed with the chain's again",
    "closing": "It was decided to close: no commitment is signed after this",
    "closing_together": "Both hospitals signed the closing; it went to the chain",
    "closing_alone": "We closed alone, on the newest commitments that we held",
    "closing_lost": "We closed without a commitment of ours, for our disk was in doubt; the window doubles",
    "closed_by_us": "The chain showed our close; the challenge window began",
    "closed_by_peer": "The chain showed that the peer closed alone; the challenge window began",
    "challenged": "We showed the chain a newer commitment of the peer than it knew",
    "resume_shown": "We showed the chain that what was posted of our log had been made void",
    "settling": "The window was over; we asked the chain to pay out",
    "settled": "The chain paid out",
    "checkpoint": "New heads that both had signed went to the chain",
    "refused_by_chain": "The chain refused what we asked",
    "charged": "The peer's own signatures prove that it misbehaved; the proof is kept",
    "reported": "We showed the chain that proof: the peer's bond is at stake",
    "demanded": "We had the chain ask for a secret that the peer kept back",
    "answered": "We answered such a demand of the peer's",
}
DECISIVE = ("frozen", "closing", "closing_alone", "closing_lost", "closed_by_us", "closed_by_peer", "settled")

STANDS = {
    "open": "It is open: both hospitals are on the line and may write.",
    "connecting": "It is open, but there is no line to the peer.",
    "resuming": "It is open, and on the line to the peer.",
    "closing": "It is closing.",
    "frozen": "It is frozen.",
    "settled": "It is settled: over and paid out.",
}
ADVICE = {
    "open": "Nothing needs to be done.",
    "connecting": "Is the peer running? `interward hospital doctor` tries its address. Entries wait on our disk. If it "
    "never comes back: `interward channel close --alone`, or `--lost` if our disk may be older than what we signed.",
    "resuming": "Wait a block: what our disk lacks comes back first. If it lasts: does the chain make blocks? "
    "`interward hospital doctor` looks.",
    "closing": "Nothing needs to be done: the node answers and settles by itself. Keep it running.",
    "frozen": "Ask the peer's operators. If it stays so: `interward channel close --alone`.",
    "settled": "Nothing needs to be done.",
}


def reason_of(story: Story) -> str | None:
    """The reason that made the channel what it is; None while nothing has."""
    return next((note.reason for note in reversed(story.notes) if note.reason in DECISIVE), None)


def advice_of(view: ChannelView) -> str:
    return ADVICE[view.state]


def tell(story: Story) -> list[str]:
    """The story, a line each."""
    view = story.channel
    lines = [f"Channel {view.id[:16]}… with {view.peer_name}, opened in block {view.opened_at:,}."]
    lines += [_line(note) for note in story.notes]
    lines.append(STANDS[view.state] + (f" Reason: {view.reason}." if view.reason else ""))
    lines.append(
        f"Our log has {view.own.size:,} entries, of which the peer acknowledged {view.receipted:,} and the chain "
        f"settled {view.own.settled_size:,}; the peer's has {view.theirs.size:,}, {view.theirs.settled_size:,} settled."
    )
    if view.state == "closing" and view.closes_at_ms:
        lines.append(f"The challenge window ends at {moment(view.closes_at_ms)} of the chain's clock.")
    return [*lines, advice_of(view)]


def _line(note: StoryNote) -> str:
    means = MEANINGS.get(note.reason, note.reason)
    fault = f" ({note.fault.replace('_', ' ')})" if note.fault else ""
    return f"{moment(note.clock_ms)}, block {note.height:,}: {means}{fault}{f': {note.detail}' if note.detail else ''}."
