"""What a hospital remembers of its exchanges and no log tells: who a handle is, which record a grant carries, and the
papers behind consents and requests. Rows are sealed and synced; a patient's name is never in clear on the disk.

Knows rows, not rules. Every method is synchronous and safe in a worker thread.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated

from msgspec import Meta

from l1.ground.codec import Shape, decoder, encode
from l2.node.bodies.index import Index, Table

__all__ = ["PATIENT", "PRACTITIONER", "Book", "Paper", "SharedRecord"]

PATIENT, PRACTITIONER = b"patient", b"practitioner"  # the kinds that handles are made of

_ROW_BYTES_MAX = 1024 * 1024


class Person(Shape, frozen=True):
    """Who stands behind a handle, in the hospital's own words."""

    kind: bytes
    name: str


class SharedRecord(Shape, frozen=True):
    """Which of our records a grant carries. An earlier program wrote it with None before the grant stood in the log."""

    record: bytes
    grant: int | None


class Paper(Shape, frozen=True):
    """What an entry has only the digest of: a consent's document, or the reason given in an emergency."""

    salt: Annotated[bytes, Meta(max_length=32)]
    content: bytes


_person = decoder(Person, bytes_max=_ROW_BYTES_MAX, what="stored person")
_shared = decoder(SharedRecord, bytes_max=_ROW_BYTES_MAX, what="stored grant")
_paper = decoder(Paper, bytes_max=_ROW_BYTES_MAX, what="stored paper")


class Book:
    """Three tables in the index of the hospital's records, so that one backup holds both."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._people: Table = index.table("people")
        self._shared: Table = index.table("shared")
        self._papers: Table = index.table("papers")

    def learn(self, channel: bytes, people: Iterable[tuple[bytes, bytes, str]]) -> None:
        """Remember handles: (handle, kind, name) each."""
        rows = [(channel + handle, encode(Person(kind=kind, name=name))) for handle, kind, name in people]
        new = [(self._people, key, row) for key, row in rows if self._people.get(key) is None]
        if new:
            self._index.write(new)

    def who(self, channel: bytes, handle: bytes) -> str | None:
        """The person behind a handle, if this hospital has met them."""
        row = self._people.get(channel + handle)
        return None if row is None else _person(row).name

    def has_learned(self, channel: bytes) -> bool:
        """Whether everybody whom our records were about has been learned in this channel."""
        return self._people.get(channel) is not None

    def note_learned(self, channel: bytes) -> None:
        self._people.put(channel, b"learned")

    def note_shared(self, channel: bytes, shared: Iterable[tuple[bytes, SharedRecord]]) -> None:
        """Lock and record of grants, with one sync."""
        self._index.write((self._shared, channel + lock, encode(one)) for lock, one in shared)

    def shared(self, channel: bytes, lock: bytes) -> SharedRecord | None:
        row = self._shared.get(channel + lock)
        return None if row is None else _shared(row)

    def all_shared(self, channel: bytes) -> Iterator[tuple[bytes, SharedRecord]]:
        """Lock and record of every grant with a body in a channel."""
        for key, row in self._shared.scan(channel):
            yield key[len(channel) :], _shared(row)

    def forget_shared(self, channel: bytes, locks: Iterable[bytes]) -> None:
        self._index.write((self._shared, channel + lock, None) for lock in locks)

    def file_paper(self, digest: bytes, paper: Paper) -> None:
        """Keep a paper under the digest that stands in the log."""
        self._papers.put(digest, encode(paper))

    def paper(self, digest: bytes) -> Paper | None:
        row = self._papers.get(digest)
        return None if row is None else _paper(row)
