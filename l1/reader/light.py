"""What a reader believes, and why: headers that the authority signed and that follow one another from the genesis on,
rows that a state proof ties to such a header, transactions that an inclusion proof ties to one.

Pure: it knows no node and no clock. Nothing here trusts who answered. Source: docs/spec/chain.md.
"""

from collections.abc import Sequence

from l1.ground import sparse
from l1.ground.codec import Shape
from l1.ground.faults import Fault, require
from l1.ground.fields import Height
from l1.ground.hashing import digest
from l1.ground.limits import HEADER_AHEAD_MS_MAX
from l1.ground.merkle import EMPTY_ROOT, leaf_hash, verify_inclusion
from l1.ground.sparse import SparseProof, place_of
from l1.rules import blocks
from l1.rules.blocks import Header, SignedHeader
from l1.rules.genesis import Genesis, chain_id

__all__ = ["Included", "check_block", "check_included", "check_next", "check_row", "first_header", "is_empty"]


class Included(Shape, frozen=True):
    """Where a transaction stands, known by its inclusion proof."""

    height: Height
    index: int
    header: Header


def first_header(genesis: Genesis) -> Header:
    """The header of height 0, which nobody signs: everybody derives it from the genesis."""
    return blocks.begin(genesis).header


def check_next(genesis: Genesis, parent: Header, signed: SignedHeader, *, now_ms: int) -> Header:
    """[READ-2] The header, known to be the authority's and to follow its parent. Raises `Refused`.

    A header more than a minute ahead of `now_ms` is refused (CLOCK): a window must not run faster than time.
    """
    header = blocks.open_header(signed, chain_id(genesis), genesis.authority)
    blocks.check_follows(parent, header, genesis.parameters)
    ahead_ms = header.time_ms - now_ms
    require(ahead_ms <= HEADER_AHEAD_MS_MAX, Fault.CLOCK, f"block {header.height} is {ahead_ms} ms ahead of our clock")
    return header


def check_row(header: Header, key: bytes, value: bytes | None, proof: SparseProof) -> None:
    """[READ-4] Raise `Refused` (BAD_PROOF) unless the state under the header holds this row (None: no such row)."""
    sparse.verify(header.state, place_of(key), None if value is None else digest(value), proof)


def check_included(header: Header, transaction: bytes, index: int, count: int, proof: Sequence[bytes]) -> None:
    """Raise `Refused` (BAD_PROOF) unless the block of the header holds the transaction at `index` of `count`."""
    verify_inclusion(leaf_hash(transaction), index, count, proof, header.transactions)


def is_empty(header: Header) -> bool:
    """Whether the header's block holds no transactions: then there is nothing to ask for."""
    return header.transactions == EMPTY_ROOT


def check_block(header: Header, data: bytes) -> tuple[bytes, ...]:
    """[READ-8] The items of the header's block, known by its transaction root. Raises `Refused` (BAD_PROOF)."""
    found = blocks.decode_block(data).transactions
    same = blocks.transactions_root(found) == header.transactions
    require(same, Fault.BAD_PROOF, f"the transactions of block {header.height} do not hash to its header's root")
    return found
