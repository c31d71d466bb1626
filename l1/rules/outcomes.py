"""What stands in a block: transactions that were done, and transactions that failed, each with its fault.

A failed transaction stands there as `[fault, transaction]`, so that the block's root proves the outcome to whoever
reads it. It cost its fee and its nonce, and changed nothing else. Rules FEE-3 and FEE-5 of docs/spec/fees.md.
"""

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, Refused
from l1.ground.limits import TRANSACTION_BYTES_MAX

__all__ = ["FAILED_BYTES", "failed_item", "open_item"]

FAILED_BYTES = 9  # what a fault adds to a transaction: array, number, length
_TWO_BYTE_STRINGS = tuple(b"\x92" + bytes([header]) for header in (0xC4, 0xC5, 0xC6))


class _Failed(Shape, frozen=True):
    fault: int
    transaction: bytes


_decode = decoder(_Failed, bytes_max=TRANSACTION_BYTES_MAX + FAILED_BYTES, what="failed transaction")


def failed_item(transaction: bytes, fault: Fault) -> bytes:
    """What stands in the block for a transaction that failed."""
    return encode(_Failed(fault=int(fault), transaction=transaction))


def open_item(item: bytes) -> tuple[bytes, Fault | None]:
    """The signed transaction of a block's item, and why it failed; None if it was done. Raises `Refused`."""
    if item.startswith(_TWO_BYTE_STRINGS):  # a signed transaction: body and signature
        return item, None
    failed = _decode(item)
    try:
        return failed.transaction, Fault(failed.fault)
    except ValueError:
        raise Refused(Fault.MALFORMED, f"a transaction that failed for an unknown reason, {failed.fault}") from None
