"""Bringing many actions to the chain by one key: nonces in order, whatever is refused on the way.

A refused transaction does not count its nonce, and so refuses all that follow it. Batches shrink where much is refused,
which is what happens where another tower was faster, and grow where nothing is.
"""

from collections.abc import Sequence

from l1.ground.faults import Refused
from l1.ground.signing import Signer
from l1.reader import Reader
from l1.rules.transactions import Action, account_of, sign_transaction
from l2.tower.judging import AGAIN

__all__ = ["ask_all"]

BATCH_MAX = 256  # about 100 KiB of challenges in a request


async def ask_all(reader: Reader, signer: Signer, actions: Sequence[Action]) -> list[bytes | Refused]:
    """For each action its transaction's id, once the chain's node has taken it, or why it has not."""
    results: list[bytes | Refused] = []
    size = BATCH_MAX
    nonce = await reader.nonce(account_of(signer.public_key))
    while len(results) < len(actions):
        batch = actions[len(results) : len(results) + size]
        signed = [sign_transaction(signer, reader.chain, nonce + at, action) for at, action in enumerate(batch)]
        said = await reader.submit_many(signed)
        taken = next((at for at, one in enumerate(said) if isinstance(one, Refused)), len(said))
        results += said[:taken]
        nonce += taken
        if taken == len(said):
            size = min(size * 2, BATCH_MAX)
            continue
        refusal = said[taken]
        assert isinstance(refusal, Refused)
        if refusal.fault in AGAIN:
            # Somebody used our key, or the node takes no more: what is left is asked for later.
            return results + [refusal] * (len(actions) - len(results))
        results.append(refusal)
        size = max(size // 4, 1)
    return results
