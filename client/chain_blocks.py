"""Whole blocks in words, as a reader verified them. For people who look."""

from typing import Any

from l1.ground.faults import LocalError, Refused
from l1.reader import Reader
from l1.rules.outcomes import open_item
from l1.rules.transactions import account_of, decode_transaction, transaction_id

__all__ = ["fetch_block"]


async def fetch_block(reader: Reader, height: int) -> dict[str, Any]:
    """The block at a height: its header is the reader's own, its transactions hash to the header's root."""
    header = await reader.header_at(height)
    if height == 0:
        return {"height": 0, "time_ms": header.time_ms, "state": header.state.hex(), "transactions": []}
    [(_, transactions)] = await reader.blocks(height, 1)
    return {
        "height": height,
        "time_ms": header.time_ms,
        "state": header.state.hex(),
        "transactions": [_shown(data, reader.chain) for data in transactions],
    }


def _shown(data: bytes, chain: bytes) -> dict[str, Any]:
    try:
        signed, failed = open_item(data)
        transaction, _ = decode_transaction(signed, chain)
    except Refused as refusal:
        raise LocalError(f"a transaction does not decode: {refusal}", "Renew this program.") from None
    return {
        "id": transaction_id(signed).hex(),
        "account": account_of(transaction.key).hex(),
        "nonce": transaction.nonce,
        "action": type(transaction.action).__name__,
        "failed": None if failed is None else failed.name.lower().replace("_", " "),
    }
