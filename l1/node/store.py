"""The chain on disk: blocks, headers, rows, state tree and indices in one LMDB environment.

One block is one write and one sync; whatever is visible is durable. It knows keys and bytes, not rules. State tree
nodes that a block puts out of use are deleted with it, so the tree costs what the state costs, not what history costs.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from l1.ground.codec import Shape, encode
from l1.ground.faults import LocalError
from l1.rules.blocks import Block, Header, SignedHeader, decode_block, decode_header, decode_signed_header
from l1.rules.outcomes import open_item
from l1.rules.state import Channel, decode_channel
from l1.rules.transactions import transaction_id
from l1.serving.schema import Migration, bring_up_to_date
from l1.serving.whole import check_whole

__all__ = ["SCHEMA", "ChainStore", "Place", "Snapshot"]

MIGRATIONS: tuple[Migration, ...] = ()  # from each schema to the next, in order
SCHEMA = 1 + len(MIGRATIONS)
MAP_BYTES = 1 << 38  # address space, not disk: 256 GiB of chain
READERS_MAX = 512  # a snapshot lives for one answer
REMEDY = "Restore it from a backup or follow anew"

_DATABASES = ("meta", "headers", "blocks", "rows", "nodes", "transactions", "channels")
_CHANNEL = b"channel/"
_HOSPITAL = b"hospital/"


class Place(Shape, frozen=True):
    """Where a transaction stands."""

    height: int
    index: int


def _height(height: int) -> bytes:
    return height.to_bytes(8, "big")


class Snapshot:
    """The chain as of one block, unmoved by later ones. It is a `View` of the rules."""

    def __init__(self, transaction: lmdb.Transaction, databases: Mapping[str, Any]) -> None:
        self._transaction = transaction
        self._databases = databases

    def _get(self, database: str, key: bytes) -> bytes | None:
        value = self._transaction.get(key, db=self._databases[database])
        return None if value is None else bytes(value)

    def get(self, key: bytes) -> bytes | None:
        """A row of the state."""
        return self._get("rows", key)

    def node(self, name: bytes) -> bytes:
        """A node of the state tree, by its hash."""
        node = self._get("nodes", name)
        assert node is not None, "the state tree is whole"
        return node

    @property
    def height(self) -> int:
        newest = self._get("meta", b"height")
        assert newest is not None
        return int.from_bytes(newest, "big")

    def header(self, height: int | None = None) -> Header:
        """The header of a height that exists; the newest by default."""
        body = self._get("headers", _height(self.height if height is None else height))
        assert body is not None
        return decode_header(decode_signed_header(body).body)

    def signed_header(self, height: int) -> SignedHeader | None:
        """The header as signed; None for heights that are not there. That of height 0 has an empty signature."""
        data = self._get("headers", _height(height))
        return None if data is None else decode_signed_header(data)

    def block(self, height: int) -> bytes | None:
        return self._get("blocks", _height(height))

    def place(self, transaction: bytes) -> Place | None:
        data = self._get("transactions", transaction)
        return None if data is None else Place(int.from_bytes(data[:8], "big"), int.from_bytes(data[8:], "big"))

    def items(self, height: int) -> tuple[bytes, ...]:
        """What stands in a block: transactions, and failed ones with their fault."""
        data = self.block(height)
        return () if data is None else decode_block(data).transactions

    def hospitals(self, after: bytes, count: int) -> list[bytes]:
        """Row keys of hospitals in ascending order, past the row key `after`."""
        return self._range("rows", _HOSPITAL, after, count)

    def channels_of(self, hospital: bytes, after: bytes, count: int) -> list[bytes]:
        """Row keys of a hospital's channels in ascending order, past the row key `after`."""
        past = hospital + after.removeprefix(_CHANNEL) if after else b""
        return [_CHANNEL + key[len(hospital) :] for key in self._range("channels", hospital, past, count)]

    def _range(self, database: str, prefix: bytes, after: bytes, count: int) -> list[bytes]:
        found: list[bytes] = []
        with self._transaction.cursor(db=self._databases[database]) as cursor:
            at_one = cursor.set_range(max(prefix, after + b"\0"))
            while at_one and len(found) < count and (key := bytes(cursor.key())).startswith(prefix):
                found.append(key)
                at_one = cursor.next()
        return found


class ChainStore:
    """The environment. One process at a time, one writer at a time."""

    def __init__(self, path: Path) -> None:
        """Open or create. Raises `LocalError` for a schema that this program does not know."""
        self._path = path
        check_whole(path, REMEDY)
        try:
            self._environment = lmdb.open(
                str(path), map_size=MAP_BYTES, max_dbs=len(_DATABASES), max_readers=READERS_MAX, subdir=False
            )
            self._databases = bring_up_to_date(self._environment, path, _DATABASES, MIGRATIONS)
        except lmdb.Error as error:
            raise LocalError(f"the chain's file {path.name} cannot be opened ({error})", REMEDY) from None

    def close(self) -> None:
        self._environment.close()

    def size_bytes(self) -> int:
        return self._path.stat().st_size

    def is_empty(self) -> bool:
        with self._environment.begin() as transaction:
            return transaction.get(b"height", db=self._databases["meta"]) is None

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        with self._environment.begin() as transaction:
            yield Snapshot(transaction, self._databases)

    def append(
        self, block: Block, writes: Mapping[bytes, bytes], nodes: Mapping[bytes, bytes], stale: Iterable[bytes]
    ) -> None:
        """One block, durable when this returns. `stale` are the names of nodes that it puts out of use."""
        header = decode_header(block.header.body)
        height = _height(header.height)
        with self._environment.begin(write=True) as transaction:
            assert header.height == self._next_height(transaction), "blocks come one after the other"

            def put(database: str, rows: Iterable[tuple[bytes, bytes]]) -> None:
                transaction.cursor(db=self._databases[database]).putmulti(sorted(rows))

            for name in stale:
                transaction.delete(name, db=self._databases["nodes"])
            put("nodes", nodes.items())
            put("rows", writes.items())
            put("channels", ((key, b"") for key in _channel_index(writes)))
            items = (open_item(item)[0] for item in block.transactions)
            places = ((transaction_id(t), height + _height(i)) for i, t in enumerate(items))
            put("transactions", places)
            put("blocks", [(height, encode(block))])
            put("headers", [(height, encode(block.header))])
            put("meta", [(b"height", height)])

    def _next_height(self, transaction: lmdb.Transaction) -> int:
        newest = transaction.get(b"height", db=self._databases["meta"])
        return 0 if newest is None else int.from_bytes(newest, "big") + 1


def _channel_index(writes: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """Which hospital has which channel: hospital id ‖ channel id."""
    for key, row in writes.items():
        if key.startswith(_CHANNEL):
            channel: Channel = decode_channel(row)
            for hospital in channel.opening.hospitals:
                yield hospital + channel.id
