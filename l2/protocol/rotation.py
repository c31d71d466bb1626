"""Changing the key that signs in a channel while batches flow: nothing waits for it, and nothing is said twice.

[ROT-1] A side signs with a newer channel key once the peer's words prove that it has read the registration, or some
blocks later. [ROT-2] Key numbers never fall along a log. A copy of a disk does not tell what its later self signed
with: so nothing is signed under a key that is older than one of ours that has begun, be that one over by now.
[ROT-3] The newest head, and whatever the peer lacks, is signed again with the new key: the same words, to the byte.
[ROT-4] Whoever sees a later key of the peer begin to end the one it holds words under brings these to the chain.
"""

from dataclasses import replace

from l1.rules.state import Channel as L1Channel
from l1.rules.state import Phase as L1Phase
from l1.rules.transactions import Checkpoint, ResumeChannel
from l2.protocol.channel import NEVER, Channel
from l2.protocol.closing import checkpoint_heads, close_alone
from l2.protocol.events import Effect, KeyOver, KeyReady, Submit, Tell
from l2.protocol.phases import Phase

__all__ = ["keep_words", "key_over", "key_ready", "switch_key"]

PATIENCE_BLOCKS = 10  # a peer that says nothing for so long has read the block, or is not there
AGAIN_BLOCKS = 10  # after so many blocks the chain is asked again


def key_ready(channel: Channel, event: KeyReady) -> None:
    """A newer channel key of ours stands in the registry since a height."""
    newest = max(channel.me.key, channel.over, -1 if channel.coming is None else channel.coming.number)
    if event.number > newest:
        channel.coming = event


def key_over(channel: Channel, event: KeyOver) -> None:
    """[ROT-2] No key of ours up to that number signs any more: a newer one has to be registered first."""
    channel.over = max(channel.over, event.number)
    if channel.coming is not None and channel.coming.number <= channel.over:
        channel.coming = None


def switch_key(channel: Channel) -> list[Effect]:
    """[ROT-1] Sign with the key that is ready, if the peer knows it by now; [ROT-3] and the newest head with it.

    [ROT-2] At once where nothing can be signed with the older one, or where our older self may have used it already.
    """
    coming, effects = channel.coming, list[Effect]()
    at_once = not channel.resumed or channel.key_is_over()
    if coming is not None and (at_once or _peer_knows(channel, coming.height)):
        channel.me = replace(channel.me, signer=coming.signer, key=coming.number)
        channel.coming = None
        effects.append(Tell("key", f"channel key {coming.number} signs from entry {channel.own.size} on"))
    signed = channel.own.signed
    if signed is None or signed.key >= channel.me.key or channel.key_is_over() or channel.phase is Phase.SETTLED:
        return effects
    channel.own.signed = channel.sign_again(signed)
    return [*effects, channel.persist([channel.log_row(channel.side)])]


def _peer_knows(channel: Channel, height: int) -> bool:
    said = NEVER if channel.peer.commitment is None else channel.peer.commitment.height
    return said >= height or channel.height >= height + PATIENCE_BLOCKS


def keep_words(channel: Channel, row: L1Channel) -> list[Effect]:
    """[ROT-4] What the peer signed under a key that is about to count no longer is brought to the chain in time."""
    later, since_ms = row.sides[1 - channel.side].newest_key, row.sides[1 - channel.side].newest_key_at_ms
    if row.phase != L1Phase.OPEN or channel.height < channel.words_kept_at + AGAIN_BLOCKS:
        return []
    effects: list[Effect] = []
    resume = channel.row.resume
    if resume is not None and resume.key < later and row.sides[channel.side].resume_height == 0:
        shown = ResumeChannel(channel=channel.id, resume=resume)
        effects.append(Submit(shown, f"key {resume.key} of the peer signed our resume, and gives way to key {later}"))
    newest, settled = channel.peer.signed, row.sides[1 - channel.side].settled
    if newest is not None and newest.key < later and channel.peer.size > settled.size:
        why = f"key {newest.key} of the peer signed its newest words, and gives way to key {later}"
        heads = checkpoint_heads(channel)
        left_ms = since_ms + channel.key_window_ms - channel.clock_ms
        if heads is not None and left_ms > channel.key_window_ms // 2:
            effects.append(Submit(Checkpoint(heads=(heads,)), why))
        elif channel.resumed or left_ms <= channel.key_window_ms // 4:
            # Who has not resumed may hold old words of its own: it shows the peer's alone.
            effects += close_alone(channel, lost=not channel.resumed, reason=f"closed alone by us: {why}")
    if effects:
        channel.words_kept_at = channel.height
    return effects
