"""Transactions that wait for a block, each already checked against the state as it will be after those before it.

Pure: the state is an argument. What is accepted here is all but certain to be accepted by the block; the rest is
refused at once, with its reason, while somebody listens. A nonce that waits is not replaced: first come, first in.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import islice

from l1.ground.faults import Fault, Refused, require
from l1.ground.limits import BLOCK_TRANSACTIONS_MAX
from l1.rules.apply import apply_transaction
from l1.rules.state import Draft, View
from l1.rules.transactions import account_of, decode_transaction, transaction_id

__all__ = ["Pool"]

WAITING_MAX = 20_000  # transactions: four full blocks
WAITING_BYTES_MAX = 32 * 1024 * 1024
WAITING_PER_ACCOUNT_MAX = 5_000  # one account cannot fill the pool
DRAFT_ROWS_MAX = 50_000  # past this the draft is drawn anew, so that it does not grow under steady load


class Pool:
    """Waiting transactions in the order of their arrival."""

    def __init__(self, chain: bytes, view: View) -> None:
        self._chain = chain
        self._view = view
        self._draft = Draft(view)
        self._waiting: dict[bytes, bytes] = {}
        self._bytes = 0
        self._per_account: Counter[bytes] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, transaction: object) -> bool:
        return transaction in self._waiting

    def get(self, key: bytes) -> bytes | None:
        """A row as it will be once all that waits is in: the pool is a `View` too."""
        return self._draft.get(key)

    def add(self, data: bytes, *, height: int, clock_ms: int) -> bytes:
        """Take a transaction in for the block at `height`; its id. Raises `Refused`. Twice the same does no harm."""
        name = transaction_id(data)
        if name in self._waiting:
            return name
        require(len(self._waiting) < WAITING_MAX, Fault.MEMPOOL_FULL, f"{WAITING_MAX} transactions are waiting")
        require(self._bytes + len(data) <= WAITING_BYTES_MAX, Fault.MEMPOOL_FULL, "too many bytes are waiting")
        account = self._account(data)
        crowded = self._per_account[account] >= WAITING_PER_ACCOUNT_MAX
        require(not crowded, Fault.MEMPOOL_FULL, f"{WAITING_PER_ACCOUNT_MAX} transactions of this account are waiting")
        apply_transaction(self._draft, data, chain=self._chain, height=height, clock_ms=clock_ms)
        self._waiting[name] = data
        self._bytes += len(data)
        self._per_account[account] += 1
        return name

    def candidates(self) -> list[bytes]:
        """The oldest, as many as a block may hold. The rules cut what is too many bytes."""
        return list(islice(self._waiting.values(), BLOCK_TRANSACTIONS_MAX))

    def settle(
        self, included: Iterable[bytes], refused: Iterable[bytes], *, height: int, clock_ms: int
    ) -> list[tuple[bytes, Refused]]:
        """A block took these in and refused those. What falls with the refused ones, and why.

        While nothing is refused, a block is a prefix of what waits and the draft stays true over the new state.
        """
        for data in included:
            self._forget(data)
        fallen = [self._forget(data) for data in refused]
        if not self._waiting:
            self._draft = Draft(self._view)
        elif fallen or len(self._draft.writes) > DRAFT_ROWS_MAX:
            return self._redraw(height=height, clock_ms=clock_ms)
        return []

    def _redraw(self, *, height: int, clock_ms: int) -> list[tuple[bytes, Refused]]:
        self._draft = Draft(self._view)
        dropped: list[tuple[bytes, Refused]] = []
        for data in list(self._waiting.values()):
            try:
                apply_transaction(self._draft, data, chain=self._chain, height=height, clock_ms=clock_ms)
            except Refused as refusal:
                self._forget(data)
                dropped.append((data, refusal))
        return dropped

    def _forget(self, data: bytes) -> bytes:
        name = transaction_id(data)
        if self._waiting.pop(name, None) is not None:
            self._bytes -= len(data)
            account = self._account(data)
            self._per_account[account] -= 1
            if not self._per_account[account]:
                del self._per_account[account]
        return name

    def _account(self, data: bytes) -> bytes:
        return account_of(decode_transaction(data, self._chain)[0].key)
