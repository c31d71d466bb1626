"""A follower: pulls blocks from another node, executes each again, keeps only what comes out the same."""

import structlog

from l1.ground.faults import LocalError, Refused
from l1.node.chain import Chain
from l1.reader.answers import BlocksAnswer, StatusAnswer, unhex
from l1.reader.backoff import Backoff
from l1.reader.transport import LONG_POLL_S, ChainUnreachable, Transport
from l1.rules.blocks import decode_block

__all__ = ["WrongBlock", "check_source", "follow_blocks"]

BLOCKS_PER_QUESTION = 100
RETRY_S, RETRY_S_MAX = 0.5, 15.0  # between questions to a source that does not answer

_log = structlog.get_logger("follower")


class WrongBlock(Exception):  # noqa: N818 - a verdict on the source, not an error of ours
    """The source's block does not follow from ours by the rules. Nothing of it was kept."""

    def __init__(self, height: int, refusal: Refused) -> None:
        super().__init__(f"block {height} is refused: {refusal}")
        self.height = height
        self.refusal = refusal


async def follow_blocks(chain: Chain, source: Transport) -> None:
    """Run until cancelled. Raises `WrongBlock` at the first block that does not come out as its header says, and
    `LocalError` for a source that serves another chain. One that is away is waited for, at the start too."""
    is_reachable, pauses = False, Backoff(RETRY_S, RETRY_S_MAX)
    while True:
        query = {"from": chain.tip.height + 1, "count": BLOCKS_PER_QUESTION, "wait_ms": int(LONG_POLL_S * 1000)}
        try:
            if not is_reachable:
                await check_source(chain, source)
            answer = await source.get("/v1/blocks", BlocksAnswer, **query)
        except ChainUnreachable as error:
            _log.warning("source is away", cause=error.cause)
            is_reachable = False
            await pauses.wait()
            continue
        is_reachable = True
        pauses.reset()
        for data in answer.blocks:
            await _take(chain, data)


async def _take(chain: Chain, data: str) -> None:
    height = chain.tip.height + 1
    try:
        await chain.follow(decode_block(unhex(data)))
    except Refused as refusal:
        raise WrongBlock(height, refusal) from None


async def check_source(chain: Chain, source: Transport) -> None:
    """Raise `LocalError` when the source serves another chain, `ChainUnreachable` when it is away."""
    try:
        status = await source.get("/v1/status", StatusAnswer)
    except Refused as refusal:
        raise LocalError(f"{source.url} is no chain's node ({refusal})", "Check the URL") from None
    if status.chain != chain.id.hex():
        raise LocalError(f"{source.url} serves another chain", "Compare genesis files")
