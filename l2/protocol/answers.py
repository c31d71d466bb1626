"""Answering the chain: what is claimed there against us, and what we may demand.

[CASE-8] A demand for the secret of a grant of ours that has ended is answered with the ending; else the shell, which
alone can make the secret, is asked for it. [CASE-9] A claim against us that stands on words which our newest resume
voids is answered with that resume.
"""

from l1.ground.faults import LocalError
from l1.rules.commitment import decode_commitment, decode_resume
from l1.rules.log.entries import Grant
from l1.rules.log.marks import HAS_ENDED
from l1.rules.state import Channel as L1Channel
from l1.rules.state import Claim, Demanded
from l1.rules.transactions import Reveal
from l2.protocol.channel import Channel, commitment_at
from l2.protocol.events import Effect, RevealAsked, Submit
from l2.protocol.evidence import build_demand, build_ended

__all__ = ["answer_demands", "ask_secret", "is_voided"]

AGAIN_BLOCKS = 10


def answer_demands(channel: Channel, row: L1Channel) -> list[Effect]:
    """Every demand against us that waits, once in a while."""
    effects: list[Effect] = []
    for claim in row.claims:
        if not isinstance(claim, Demanded) or claim.side != channel.side or channel.clock_ms >= claim.until_ms:
            continue
        if channel.height < channel.answered_at.get(claim.grant, -AGAIN_BLOCKS) + AGAIN_BLOCKS:
            continue
        channel.answered_at[claim.grant] = channel.height
        effects.append(_answer(channel, claim))
    waiting = {claim.grant for claim in row.claims if isinstance(claim, Demanded)}
    channel.answered_at = {grant: at for grant, at in channel.answered_at.items() if grant in waiting}
    return effects


def _answer(channel: Channel, claim: Demanded) -> Effect:
    ending = _ended_at(channel, claim)
    if ending is None or channel.own.signed is None:
        return RevealAsked(claim.grant)
    ended = build_ended(channel.readers[channel.side], channel.own.signed, ending)
    answer = Reveal(channel=channel.id, side=channel.side, grant=claim.grant, answer=ended)
    return Submit(answer, f"grant {claim.grant} had ended: its secret stays with us")


def _ended_at(channel: Channel, claim: Demanded) -> int | None:
    log = channel.fold.logs[channel.side]
    for target in (claim.grant, claim.consent):
        if target is not None and log.marks[target] & HAS_ENDED:
            return log.endings[target]
    return None


def is_voided(channel: Channel, row: L1Channel) -> bool:
    """Whether something posted of our log, or claimed of our words, is void by our newest resume, and may harm us.

    [WATCH-6] What we say to this day harms nobody: a peer whose disk went back may show it and not know better.
    """
    if channel.row.resume is None:
        return False
    ours, resume = row.sides[channel.side], decode_resume(channel.row.resume.body)
    words: list[tuple[int, int]] = []
    if not _stands(channel, row, ours.posted.size, root=ours.posted.root):
        words.append((ours.posted.size, ours.posted_height))
    if not _stands(channel, row, ours.spent_size, spent=ours.spent):
        words.append((ours.spent_size, ours.spent_height))
    for claim in row.claims:
        if isinstance(claim, Claim) and claim.side == channel.side:
            words += claim.words
    return any(size > resume.size and height < resume.height for size, height in words)


def _stands(
    channel: Channel, row: L1Channel, size: int, *, root: bytes | None = None, spent: int | None = None
) -> bool:
    """Whether our log still says so at that size. A close of ours that it shows to be stale harms us all the same."""
    signed = commitment_at(channel, channel.side, size)
    if signed is None or (row.stale and row.closer == channel.side):
        return False
    said = decode_commitment(signed.body)
    return root in (None, said.root) and spent in (None, said.spent)


def ask_secret(channel: Channel, receipt: int) -> Submit:
    """Have the chain demand the secret of the grant that our receipt is for. Raises `LocalError`."""
    own, peer = channel.own.signed, channel.peer.signed
    if own is None or peer is None or receipt >= channel.own.size:
        raise LocalError("there is no such receipt", "A demand shows the receipt of a grant of the other hospital.")
    action = build_demand(channel.id, channel.readers, own, peer, receipt)
    grant, _ = channel.readers[1 - channel.side].entry(action.grant.index)
    assert isinstance(grant, Grant)
    return Submit(action, f"the other hospital keeps back the release of grant {action.grant.index}")
