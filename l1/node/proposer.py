"""The authority's one task: a block when transactions wait, at most so often, and a heartbeat when none do."""

import trio

from l1.ground.signing import Signer
from l1.node.chain import Chain

__all__ = ["propose_blocks"]


async def propose_blocks(chain: Chain, signer: Signer) -> None:
    """Run until cancelled. Blocks carry the chain's time; pauses are the loop's own clock."""
    block_s = chain.genesis.parameters.block_ms / 1000
    heartbeat_s = chain.genesis.parameters.heartbeat_ms / 1000
    chain.is_proposing = True
    try:
        while True:
            began = trio.current_time()
            with trio.move_on_at(began + heartbeat_s):
                await trio.sleep(block_s)
                await chain.wait_arrival()
            # A block that has begun is finished: stopping in the middle would only throw the work away.
            with trio.CancelScope(shield=True):
                await chain.propose(signer)
    finally:
        chain.is_proposing = False
