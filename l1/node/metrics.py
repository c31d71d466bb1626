"""The chain's figures for Prometheus."""

from l1.node.chain import Chain
from l1.serving.figures import Figure, exposition

__all__ = ["figures"]


def figures(chain: Chain) -> bytes:
    return exposition(
        [
            Figure("interward_chain_height", "height of the newest block", chain.tip.height),
            Figure("interward_chain_time_ms", "time of the newest block, ms since the epoch", chain.tip.time_ms),
            Figure("interward_chain_clock_ms", "the chain clock, ms", chain.tip.clock_ms),
            Figure("interward_chain_waiting", "transactions that wait for a block", len(chain.pool)),
            Figure("interward_chain_included", "transactions in blocks of this process", chain.included),
            Figure("interward_chain_bytes", "bytes of the chain's file", chain.store.size_bytes()),
        ]
    )
