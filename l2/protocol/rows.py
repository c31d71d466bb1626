"""How a channel's facts are laid out in an ordered store of bytes. Pure: the store itself is the shell's.

One channel owns one key space. Keys are a letter, a side, and big-endian numbers, so that byte order is log order.
[STORE-1] On the disk a row is its value ‖ CRC-32 over channel, key and value, so that no damaged byte, and no row in
another's place, is ever taken for a value. What is signed is proved by its signature besides.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol
from zlib import crc32

from l1.ground.faults import LocalError

__all__ = [
    "CHANNEL_BYTES",
    "REMEDY",
    "Damaged",
    "PendingRows",
    "Rows",
    "alive_key",
    "batch_key",
    "case_key",
    "close_key",
    "doubt_key",
    "ending_key",
    "head_key",
    "journal_count_key",
    "journal_key",
    "mark_key",
    "node_key",
    "open_row",
    "seal_row",
    "state_key",
    "unseal_row",
    "void_key",
]

REMEDY = (
    "Stop the hospital, move channels.mdb and channels.journal away (of a hub: the named store and its journal) "
    "and run `interward hospital restore --from-peers`: peers and the chain have it all. "
    "`interward hospital doctor` says what is damaged."
)
CHANNEL_BYTES = 32  # of a row's place, before its key: the channel's id
_CHECK_BYTES = 4


class Damaged(LocalError):  # noqa: N818 - it says what is so, as its siblings do
    """Our own store does not hold what was written there. Nobody's fault but the disk's: the process cannot go on."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the channel store is damaged: {what}", REMEDY)


def seal_row(place: bytes, value: bytes) -> bytes:
    """A value as it lies on the disk. `place` is the channel's id ‖ the row's key."""
    return value + _check(place, value)


def _check(place: bytes, value: bytes) -> bytes:
    return crc32(value, crc32(place)).to_bytes(_CHECK_BYTES, "big")


def unseal_row(place: bytes, stored: bytes) -> bytes | None:
    """The value of a stored row; None if it is not what was written there."""
    value = stored[:-_CHECK_BYTES]
    return value if stored[-_CHECK_BYTES:] == _check(place, value) else None


def open_row(place: bytes, stored: bytes) -> bytes:
    """The value of a stored row. Raises `Damaged`."""
    value = unseal_row(place, stored)
    if value is None:
        raise Damaged(f"row {place[CHANNEL_BYTES:].hex()} of channel {place[:4].hex()}… is not what was written")
    return value


class Rows(Protocol):
    """A readable, ordered store of one channel's rows."""

    def get(self, key: bytes) -> bytes | None: ...

    def floor(self, key: bytes) -> tuple[bytes, bytes] | None:
        """The row with the greatest key that is at most `key`."""

    def scan(self, first: bytes, last: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows from `first` to before `last`, in order."""


class PendingRows:
    """A store, and over it what the steps under way have decided to write but the shell has not yet written.

    The shell may take a step while the rows of earlier ones are on their way to the disk; it says `written` once for
    each step, in order.
    """

    def __init__(self, under: Rows) -> None:
        self._under = under
        self._steps: deque[dict[bytes, bytes]] = deque()

    def begin(self) -> None:
        """A step begins."""
        self._steps.append({})

    def put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        self._steps[-1].update(rows)

    def written(self) -> None:
        """The oldest step's rows are durable."""
        self._steps.popleft()

    def drop(self) -> None:
        """The step that has just begun is not taken."""
        self._steps.pop()

    def get(self, key: bytes) -> bytes | None:
        for step in reversed(self._steps):
            if key in step:
                return step[key]
        return self._under.get(key)

    def floor(self, key: bytes) -> tuple[bytes, bytes] | None:
        best = self._under.floor(key)
        for step in self._steps:
            candidates = [at for at in step if at <= key and at[:2] == key[:2]]
            if candidates and (best is None or max(candidates) >= best[0]):
                best = max(candidates), step[max(candidates)]
        return best

    def scan(self, first: bytes, last: bytes) -> Iterator[tuple[bytes, bytes]]:
        assert not self._steps, "scans are for loading"
        return self._under.scan(first, last)


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def batch_key(side: int, first: int) -> bytes:
    """→ the batch message as sent or received, by the index of its first entry."""
    return b"b%c" % side + _number(first)


def node_key(side: int, level: int, index: int) -> bytes:
    """→ the hash of a complete subtree."""
    return b"n%c%c" % (side, level) + _number(index)


def mark_key(side: int, chunk: int) -> bytes:
    """→ the fold's marks of `MARKS_CHUNK` entries, a byte each."""
    return b"m%c" % side + _number(chunk)


def ending_key(side: int, target: int) -> bytes:
    """→ the index of the entry that ended consent or grant `target`."""
    return b"e%c" % side + _number(target)


def void_key(side: int, index: int) -> bytes:
    """→ the reason why the entry is void, a byte."""
    return b"v%c" % side + _number(index)


def head_key(side: int) -> bytes:
    """→ `LogRow`: the newest head of a side's log."""
    return b"h%c" % side


def state_key() -> bytes:
    """→ `ChannelRow`: what is true of the channel as a whole."""
    return b"s"


def alive_key() -> bytes:
    """→ the chain clock of a late block at which the channel could sign: 8 bytes."""
    return b"a"


def close_key() -> bytes:
    """→ that we decided to close alone: a byte, 1 if lost."""
    return b"x"


def doubt_key() -> bytes:
    """→ how much of the peer's log was on the disk when a process first started in a channel that closes: 8 bytes."""
    return b"d"


def case_key(number: int) -> bytes:
    """→ `Case`: proof that the peer misbehaved."""
    return b"q" + _number(number)


def journal_count_key() -> bytes:
    """→ how many notes were ever written."""
    return b"c"


def journal_key(slot: int) -> bytes:
    """→ `Note`: what happened to the channel; the oldest give way."""
    return b"j" + _number(slot)


def number_of(key: bytes) -> int:
    """The last number of a key."""
    return int.from_bytes(key[-8:], "big")
