"""The layouts that the channels' store once had, each with what turns it into the next.

A new layout adds a function at the end, and a test that begins with a store of the old one.
"""

from typing import Any

from l1.serving import Migration
from l2.protocol.rows import seal_row

__all__ = ["MIGRATIONS"]


def _add_checksums(environment: Any, writing: Any) -> None:
    """1 → 2: a row gets its checksum [STORE-1]. What an older program wrote is taken at its word."""
    with writing.cursor(db=environment.open_db(b"rows", txn=writing)) as cursor:
        at_one = cursor.first()
        while at_one:
            place, value = bytes(cursor.key()), bytes(cursor.value())
            cursor.put(place, seal_row(place, value))
            at_one = cursor.next()


MIGRATIONS: tuple[Migration, ...] = (_add_checksums,)
