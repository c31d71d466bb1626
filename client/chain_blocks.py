"""Whole blocks from a chain's node, verified against a reader's headers. For people who look, not for nodes."""

from typing import Any

import httpx

from l1.ground.faults import Fault, LocalError, Refused, require
from l1.ground.merkle import leaf_hash, root_of
from l1.reader import ChainUnreachable, Reader
from l1.rules.blocks import decode_block
from l1.rules.transactions import account_of, decode_transaction, transaction_id

__all__ = ["fetch_block"]


async def fetch_block(reader: Reader, height: int) -> dict[str, Any]:
    """The block at a height: its header is the reader's own, its transactions hash to the header's root."""
    header = await reader.header_at(height)
    if height == 0:
        return {"height": 0, "time_ms": header.time_ms, "state": header.state.hex(), "transactions": []}
    block = decode_block(await _raw(reader, height))
    transactions = block.transactions
    require(
        root_of([leaf_hash(data) for data in transactions]) == header.transactions,
        Fault.BAD_PROOF,
        f"the transactions of block {height} do not hash to its header's root",
    )
    return {
        "height": height,
        "time_ms": header.time_ms,
        "state": header.state.hex(),
        "transactions": [_shown(data, reader.chain) for data in transactions],
    }


async def _raw(reader: Reader, height: int) -> bytes:
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            answer = await http.get(f"{reader.url}/v1/blocks/{height}")
        answer.raise_for_status()
        return bytes.fromhex(answer.json()["block"])
    except httpx.HTTPError as error:
        raise ChainUnreachable(f"the chain at {reader.url} does not answer ({error})", "Start its node.") from None
    except (ValueError, KeyError, TypeError):
        raise Refused(Fault.MALFORMED, f"the node's answer for block {height} cannot be read") from None


def _shown(data: bytes, chain: bytes) -> dict[str, Any]:
    try:
        transaction, _ = decode_transaction(data, chain)
    except Refused as refusal:
        raise LocalError(f"a transaction does not decode: {refusal}", "Renew this program.") from None
    return {
        "id": transaction_id(data).hex(),
        "account": account_of(transaction.key).hex(),
        "nonce": transaction.nonce,
        "action": type(transaction.action).__name__,
    }
