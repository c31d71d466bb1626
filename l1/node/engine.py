"""Making a block, and making one again: the rules applied to a snapshot, with what falls out of use in the state tree.

It reads a snapshot and writes nothing; the caller makes the result durable.
"""

from collections.abc import Mapping, Sequence

import msgspec

from l1.ground.codec import encode
from l1.ground.faults import Fault, Refused, require
from l1.ground.signing import Signer
from l1.node.store import Snapshot
from l1.rules import blocks
from l1.rules.blocks import Block, Executed, Header, SignedHeader
from l1.rules.genesis import Genesis, chain_id

__all__ = ["NO_SIGNATURE", "Built", "build", "genesis_block", "rerun"]

NO_SIGNATURE = bytes(64)
"""In the place of the signature that the genesis header does not have."""


class Built(msgspec.Struct, frozen=True):
    """A block and all that it changes."""

    block: Block
    header: Header
    writes: Mapping[bytes, bytes]
    nodes: Mapping[bytes, bytes]
    stale: frozenset[bytes]
    refused: list[tuple[bytes, Refused]]


class _Reads:
    """Nodes of the state tree, and which of them were read. Before block 0 there are none."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        self._snapshot = snapshot
        self.names: set[bytes] = set()

    def __call__(self, name: bytes) -> bytes:
        self.names.add(name)
        assert self._snapshot is not None
        return self._snapshot.node(name)


def _stale(read: set[bytes], nodes: Mapping[bytes, bytes], root: bytes) -> frozenset[bytes]:
    """Of the nodes read, those that the new tree no longer has.

    Every node read lies on a changed path or hangs off it, so what stays in use is named by a new node.
    """
    used = {root}
    for node in nodes.values():
        used.add(node[1:33])
        used.add(node[33:])
    return frozenset(read - used - nodes.keys())


def _built(block: Block, executed: Executed, reads: _Reads, refused: Sequence[tuple[bytes, Refused]] = ()) -> Built:
    stale = _stale(reads.names, executed.nodes, executed.header.state)
    return Built(
        block=block,
        header=executed.header,
        writes=executed.writes,
        nodes=executed.nodes,
        stale=stale,
        refused=list(refused),
    )


def genesis_block(genesis: Genesis) -> Built:
    """Block 0: the genesis rows, under a header that everybody derives and nobody signs."""
    executed = blocks.begin(genesis)
    block = Block(header=SignedHeader(body=encode(executed.header), signature=NO_SIGNATURE), transactions=())
    return _built(block, executed, _Reads(None))


def build(snapshot: Snapshot, signer: Signer, candidates: Sequence[bytes], *, time_ms: int) -> Built:
    """The next block out of the candidates that stand."""
    parent = snapshot.header()
    time_ms = max(time_ms, parent.time_ms)
    accepted, refused = blocks.select(snapshot, parent, candidates, time_ms)
    reads = _Reads(snapshot)
    executed = blocks.execute(snapshot, reads, parent, accepted, time_ms=time_ms)
    block = Block(header=blocks.sign_header(signer, executed.header), transactions=tuple(accepted))
    return _built(block, executed, reads, refused)


def rerun(snapshot: Snapshot, genesis: Genesis, block: Block) -> Built:
    """Somebody else's block, executed again. Raises `Refused` (BAD_BLOCK, WRONG_STATE_ROOT, BAD_SIGNATURE, …)."""
    parent = snapshot.header()
    header = blocks.open_header(block.header, chain_id(genesis), genesis.authority)
    blocks.check_follows(parent, header, genesis.parameters)
    reads = _Reads(snapshot)
    executed = blocks.execute(snapshot, reads, parent, block.transactions, time_ms=header.time_ms)
    same = executed.header.state == header.state
    require(same, Fault.WRONG_STATE_ROOT, f"block {header.height} gives another state than its header says")
    require(
        executed.header == header, Fault.BAD_BLOCK, f"the header of block {header.height} does not fit its contents"
    )
    return _built(block, executed, reads)
