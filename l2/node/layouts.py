"""The layouts that a hospital's stores once had, each with what turns it into the next.

A new layout adds a function at the end, and a test that begins with a store of the old one.
"""

import secrets
from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any, NamedTuple

import msgspec

from l1.ground.faults import LocalError
from l1.rules.commitment import Signed
from l1.rules.log.leaves import join_parts
from l1.serving.journal import RUN_BYTES
from l1.serving.schema import Migration
from l2.protocol.batch import encode_batch
from l2.protocol.rows import CHANNEL_BYTES, Damaged, batch_key, open_row, seal_row, unseal_row

__all__ = ["MIGRATIONS", "STANDING", "Standing", "index_migrations", "standing_of"]

STANDING = b"journal"
"""The fact in a channels' store that says up to where it holds what its journal held."""

_STANDING = Struct(f">{RUN_BYTES}sQ?")
_BATCH = batch_key(0, 0)[:1]
_older_batch = msgspec.msgpack.Decoder(tuple[list[bytes], list[bytes], Signed])
_BODIES = ("records", "incoming", "outgoing")
_CROWDS = ("crowds in", "crowds out")
_WITH_CELLS = ("places", "holds", "erasures", "openings", "parts")


class Standing(NamedTuple):
    """The run that wrote last, the number of its last record that the store holds, and whether there may be more."""

    run: bytes
    number: int
    is_open: bool

    @classmethod
    def new(cls, number: int) -> "Standing":
        """Of a store that has had no journal under this name, so that it takes no other store's for its own."""
        return cls(secrets.token_bytes(RUN_BYTES), number, is_open=False)

    def encode(self) -> bytes:
        return seal_row(STANDING, _STANDING.pack(*self))

    @classmethod
    def decode(cls, stored: bytes) -> "Standing":
        """Raises `Damaged`."""
        value = unseal_row(STANDING, stored)
        if value is None or len(value) != _STANDING.size:
            raise Damaged("what it says of its journal is not what was written")
        return cls(*_STANDING.unpack(value))


def standing_of(reading: Any, meta: Any) -> Standing:
    """Raises `Damaged`."""
    return Standing.decode(bytes(reading.get(STANDING, b"", db=meta)))


def _add_checksums(environment: Any, writing: Any) -> None:
    """1 → 2: a row gets its checksum [STORE-1]. What an older program wrote is taken at its word."""
    _rewrite(environment, writing, seal_row)


def _rewrite(environment: Any, writing: Any, change: Callable[[bytes, bytes], bytes]) -> None:
    """`change` is given the place and what is stored there, and returns what is to be stored."""
    with writing.cursor(db=environment.open_db(b"rows", txn=writing)) as cursor:
        at_one = cursor.first()
        while at_one:
            place, stored = bytes(cursor.key()), bytes(cursor.value())
            if (changed := change(place, stored)) != stored:
                cursor.put(place, changed)
            at_one = cursor.next()


def _add_standing(environment: Any, writing: Any) -> None:
    """2 → 3: a journal is written ahead of the store; it has had none so far."""
    meta = environment.open_db(b"meta", txn=writing)
    writing.put(STANDING, Standing.new(0).encode(), db=meta)


def _join_parts(environment: Any, writing: Any) -> None:
    """3 → 4: the parts of a batch stand together. Raises `LocalError` where its journal holds older batches still."""
    if standing_of(writing, environment.open_db(b"meta", txn=writing)).is_open:
        cause = "the store's journal holds what a program that was killed did not write back"
        raise LocalError(cause, "Start and stop the hospital once with that program; nothing was changed.")
    _rewrite(environment, writing, _joined)


def _joined(place: bytes, stored: bytes) -> bytes:
    if not place[CHANNEL_BYTES:].startswith(_BATCH):
        return stored
    publics, privates, commitment = _older_batch.decode(open_row(place, stored))
    return seal_row(place, encode_batch(*join_parts(publics, privates), commitment))


MIGRATIONS: tuple[Migration, ...] = (_add_checksums, _add_standing, _join_parts)
"""Of the channels' store."""


def index_migrations(fresh: Mapping[bytes, bytes]) -> tuple[Migration, ...]:
    """Of the index of records. `fresh` is what a new one is given to begin with: keys, boxed under the hospital's."""

    def add_cells(environment: Any, writing: Any) -> None:
        """1 → 2: bodies lie in cells, their keys under a ring. Names, papers and who got what stay as they are.

        Raises `LocalError` where bodies lie in files of their own: their ciphertext is not read any more."""
        if writing.get(b"places") is None:
            tables = [environment.open_db(name.encode(), txn=writing) for name in _BODIES]
            if count := sum(writing.stat(table)["entries"] for table in tables):
                cause = f"{count} record bodies lie as an earlier program wrote them, and this one does not read them"
                raise LocalError(cause, "Take them out with that program, and add them again; nothing was changed.")
        for name in _WITH_CELLS:
            environment.open_db(name.encode(), txn=writing)
        meta = environment.open_db(b"meta", txn=writing)
        for fact, value in fresh.items():
            writing.put(fact, value, db=meta, overwrite=False)

    return add_cells, _add_crowds


def _add_crowds(environment: Any, writing: Any) -> None:
    """2 → 3: short bodies that came together stand in one row; those that wait in rows of their own stay there."""
    for name in _CROWDS:
        environment.open_db(name.encode(), txn=writing)
