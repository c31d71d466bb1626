"""Blocks: what the authority signs, and what everybody else executes again.

`execute` is the whole chain in one function: parent, transactions and time in, the next header and the writes out.
Node and follower call the same one. Source: docs/spec/chain.md, rules BLOCK-1 to BLOCK-9.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, Refused, require
from l1.ground.fields import Digest, Height, KeyBytes, SignatureBytes, TimeMs
from l1.ground.hashing import digest
from l1.ground.limits import BLOCK_BYTES_MAX, BLOCK_TIME_MS_MAX, BLOCK_TRANSACTIONS_MAX, HASH_BYTES, VERSION
from l1.ground.merkle import leaf_hash, root_of
from l1.ground.signing import Context, Purpose, Signer, open_signed, sign
from l1.ground.sparse import EMPTY, GetNode, place_of, update
from l1.rules.apply import apply_transaction
from l1.rules.genesis import Genesis, Parameters, chain_id, check_genesis
from l1.rules.outcomes import FAILED_BYTES, failed_item, open_item
from l1.rules.state import PARAMETERS_KEY, REGISTRARS_KEY, Account, Draft, View, account_key

__all__ = [
    "Block",
    "Executed",
    "Header",
    "SignedHeader",
    "begin",
    "check_follows",
    "decode_block",
    "decode_header",
    "decode_signed_header",
    "execute",
    "genesis_header",
    "genesis_state",
    "header_hash",
    "next_clock_ms",
    "open_header",
    "select",
    "sign_header",
    "transactions_root",
]

_FRAME_BYTES = 1024  # what a block holds besides its transactions: the signed header and the array's own bytes
_PER_TRANSACTION_BYTES = 5  # the msgpack header of each


class Header(Shape, frozen=True):
    """A block's head. `time_ms` is the authority's clock; `clock_ms` the chain clock, which each block advances by at
    most two heartbeats, so that an authority that was away lets no window lapse. `transactions` is the RFC 9162 root
    over the transaction bytes; `state` the sparse Merkle root after them."""

    version: int
    chain: Digest
    height: Height
    parent: Digest
    time_ms: TimeMs
    clock_ms: TimeMs
    transactions: Digest
    state: Digest
    authority: KeyBytes


class SignedHeader(Shape, frozen=True):
    body: bytes
    signature: SignatureBytes


class Block(Shape, frozen=True):
    """The signed header and the items: transactions, and failed ones with their fault (`l1.rules.outcomes`)."""

    header: SignedHeader
    transactions: tuple[bytes, ...]


class Executed(NamedTuple):
    """What a block comes to: its header, the rows it writes, and the state tree's new nodes by hash."""

    header: Header
    writes: dict[bytes, bytes]
    nodes: dict[bytes, bytes]


decode_header = decoder(Header, bytes_max=1024, what="header")
decode_signed_header = decoder(SignedHeader, bytes_max=1024, what="signed header")
decode_block = decoder(Block, bytes_max=BLOCK_BYTES_MAX, what="block")


def header_hash(header: Header) -> bytes:
    """The name of a block: what its child carries as `parent`."""
    return digest(encode(header))


def transactions_root(transactions: Sequence[bytes]) -> bytes:
    """The RFC 9162 root over the transactions' bytes."""
    return root_of([leaf_hash(transaction) for transaction in transactions])


def next_clock_ms(parent: Header, time_ms: int, parameters: Parameters) -> int:
    """The chain clock of a block made at `time_ms`."""
    return parent.clock_ms + min(max(time_ms - parent.time_ms, 0), 2 * parameters.heartbeat_ms)


def genesis_state(genesis: Genesis) -> dict[bytes, bytes]:
    """The rows a chain begins with. Raises `Refused` for a genesis that cannot be."""
    check_genesis(genesis)
    rows: dict[bytes, bytes] = {
        PARAMETERS_KEY: encode(genesis.parameters),
        REGISTRARS_KEY: encode(genesis.registrars),
    }
    for allocation in genesis.allocations:
        rows[account_key(allocation.account)] = encode(Account(credits=allocation.credits))
    return rows


def genesis_header(genesis: Genesis, state_root: bytes) -> Header:
    """Block 0. Nobody signs it: whoever has the genesis makes it for himself."""
    return Header(
        version=VERSION,
        chain=chain_id(genesis),
        height=0,
        parent=bytes(HASH_BYTES),
        time_ms=genesis.time_ms,
        clock_ms=genesis.time_ms,
        transactions=transactions_root(()),
        state=state_root,
        authority=genesis.authority,
    )


def begin(genesis: Genesis) -> Executed:
    """Block 0 with its rows and its state tree."""
    rows = genesis_state(genesis)
    state_root, nodes = update(lambda _: b"", EMPTY, _leaves(rows))
    return Executed(header=genesis_header(genesis, state_root), writes=rows, nodes=nodes)


def execute(view: View, get_node: GetNode, parent: Header, transactions: Sequence[bytes], *, time_ms: int) -> Executed:
    """The block after `parent`, whose state `view` and `get_node` show. Raises `Refused` if any transaction is.

    `transactions` are items: a transaction that fails in the block stands there with its fault (`outcomes`).
    """
    _check_time(parent, time_ms)
    require(len(transactions) <= BLOCK_TRANSACTIONS_MAX, Fault.BAD_BLOCK, "the block holds too many transactions")
    require(_block_bytes(transactions) <= BLOCK_BYTES_MAX, Fault.TOO_LARGE, "the block holds too many bytes")
    draft = Draft(view)
    clock_ms = next_clock_ms(parent, time_ms, draft.get_parameters())
    for item in transactions:
        transaction, said = open_item(item)
        fault = apply_transaction(draft, transaction, chain=parent.chain, height=parent.height + 1, clock_ms=clock_ms)
        require(fault == said, Fault.BAD_BLOCK, "a transaction of the block fares otherwise than it says")
    state_root, nodes = update(get_node, parent.state, _leaves(draft.writes))
    header = Header(
        version=VERSION,
        chain=parent.chain,
        height=parent.height + 1,
        parent=header_hash(parent),
        time_ms=time_ms,
        clock_ms=clock_ms,
        transactions=transactions_root(transactions),
        state=state_root,
        authority=parent.authority,
    )
    return Executed(header=header, writes=draft.writes, nodes=nodes)


def select(
    view: View, parent: Header, candidates: Sequence[bytes], time_ms: int
) -> tuple[list[bytes], list[tuple[bytes, Refused]]]:
    """The next block's items out of candidates, in their order, and which candidates are refused and why.

    Candidates past the limits of a block are in neither list: they wait.
    """
    _check_time(parent, time_ms)
    draft = Draft(view)
    clock_ms = next_clock_ms(parent, time_ms, draft.get_parameters())
    accepted: list[bytes] = []
    refused: list[tuple[bytes, Refused]] = []
    room = BLOCK_BYTES_MAX - _FRAME_BYTES
    for transaction in candidates:
        room -= len(transaction) + _PER_TRANSACTION_BYTES + FAILED_BYTES
        if room < 0 or len(accepted) == BLOCK_TRANSACTIONS_MAX:
            break
        try:
            fault = apply_transaction(
                draft, transaction, chain=parent.chain, height=parent.height + 1, clock_ms=clock_ms
            )
        except Refused as refusal:
            refused.append((transaction, refusal))
        else:
            accepted.append(transaction if fault is None else failed_item(transaction, fault))
    return accepted, refused


def sign_header(signer: Signer, header: Header) -> SignedHeader:
    body = encode(header)
    return SignedHeader(body=body, signature=sign(signer, Purpose.BLOCK, Context(chain=header.chain), body))


def open_header(signed: SignedHeader, chain: bytes, authority: bytes) -> Header:
    """The header, known to be the authority's own. Raises `Refused`."""
    header: Header = decode_header(
        open_signed(authority, Purpose.BLOCK, Context(chain=chain), signed.body, signed.signature)
    )
    require(header.version == VERSION, Fault.WRONG_VERSION, f"a header of version {header.version}")
    require(header.chain == chain, Fault.WRONG_CHAIN, "a header of another chain")
    require(header.authority == authority, Fault.BAD_BLOCK, "the header names another authority")
    return header


def check_follows(parent: Header, header: Header, parameters: Parameters) -> None:
    """Raise `Refused` unless the header can stand on its parent, whatever its transactions."""
    require(header.chain == parent.chain, Fault.WRONG_CHAIN, "the header is of another chain than its parent")
    require(header.authority == parent.authority, Fault.BAD_BLOCK, "the authority has changed")
    require(header.height == parent.height + 1, Fault.BAD_BLOCK, f"height {header.height} after {parent.height}")
    require(header.parent == header_hash(parent), Fault.BAD_BLOCK, f"block {header.height} has another parent")
    _check_time(parent, header.time_ms)
    expected = next_clock_ms(parent, header.time_ms, parameters)
    require(header.clock_ms == expected, Fault.CLOCK, f"the chain clock of block {header.height} is wrong")


def _check_time(parent: Header, time_ms: int) -> None:
    require(parent.time_ms <= time_ms <= BLOCK_TIME_MS_MAX, Fault.CLOCK, "the time of a block falls, or cannot be")


def _block_bytes(transactions: Sequence[bytes]) -> int:
    return _FRAME_BYTES + sum(len(transaction) + _PER_TRANSACTION_BYTES for transaction in transactions)


def _leaves(rows: Mapping[bytes, bytes]) -> dict[bytes, bytes | None]:
    return {place_of(key): digest(row) for key, row in rows.items()}
