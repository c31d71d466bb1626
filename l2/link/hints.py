"""Which of a hospital's processes a line is for: said in the clear, before TLS begins, by who dials. Pure.

A hospital that spreads its channels over processes has one address. Who dials names a slot, the first byte of the
channel's id, as a host name in TLS's own `server_name`; who accepts reads it without taking a byte, and hands the
connection on. A hint decides nothing else: whoever gets the connection shakes hands as ever. What comes here is
anybody's. Source: docs/spec/line.md, LINE-15; RFC 8446, section 4.1.2; RFC 6066, section 3; RFC 6761, section 6.4.
"""

from typing import NamedTuple

__all__ = ["HELLO_PEEK_BYTES", "Peeked", "SLOTS", "name_of_slot", "peek_slot", "slot_of"]

SLOTS = 256  # enough to spread channels over 16 processes evenly, and no more of an id is said
HELLO_PEEK_BYTES = 8 * 1024  # a ClientHello has some hundred bytes, with post-quantum keys two thousand

_SUFFIX = b".slot.interward.invalid"
_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME, _HOST_NAME = 22, 1, 0, 0
_RECORD_HEADER, _HELLO_HEADER = 5, 4
_VERSION_AND_RANDOM = 2 + 32


class Peeked(NamedTuple):
    """What the first bytes of a connection say. `more`: so many bytes, all in all, must be here to say it; 0: no
    more are needed. `slot` is None without a hint."""

    slot: int | None
    more: int = 0


def slot_of(channel: bytes) -> int:
    """The slot of a channel: of its lines, of record bodies under its grants, of the proposal that it begins with."""
    return channel[0]


def name_of_slot(slot: int) -> str:
    """The host name that says so."""
    return f"{slot:02x}{_SUFFIX.decode()}"


class _Short(Exception):  # noqa: N818 - an event: the bytes end before what they announce
    """A length leads past the end."""


class _Reader:
    """Takes what lengths announce, and never past the end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def is_at_end(self) -> bool:
        return self._at == len(self._data)

    def take(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise _Short
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def part(self, size: int) -> "_Reader":
        """What stands behind a length of `size` bytes."""
        return _Reader(self.take(self.number(size)))


def peek_slot(data: bytes) -> Peeked:
    """The hint in the first bytes of a connection. Any bytes give an answer; what is no hello has no hint."""
    if len(data) < _RECORD_HEADER:
        return Peeked(None, _RECORD_HEADER if data[:1] in (b"", bytes([_HANDSHAKE])) else 0)
    if data[0] != _HANDSHAKE:
        return Peeked(None)
    whole = _RECORD_HEADER + int.from_bytes(data[3:5], "big")
    if whole > HELLO_PEEK_BYTES:
        return Peeked(None)
    if len(data) < whole:
        return Peeked(None, whole)
    try:
        return Peeked(_slot_in(_Reader(data[_RECORD_HEADER:whole])))
    except _Short:
        return Peeked(None)


def _slot_in(record: _Reader) -> int | None:
    """The slot that a ClientHello in one record names. Raises `_Short`."""
    if record.number(1) != _CLIENT_HELLO:
        return None
    hello = record.part(3)
    hello.take(_VERSION_AND_RANDOM)
    for size in (1, 2, 1):  # session id, cipher suites, compression methods
        hello.part(size)
    extensions = hello.part(2)
    while not extensions.is_at_end:
        kind, body = extensions.number(2), extensions.part(2)
        if kind == _SERVER_NAME:
            return _slot_named(body.part(2))
    return None


def _slot_named(names: _Reader) -> int | None:
    """The slot in a list of server names, of which there is one at most of each kind. Raises `_Short`."""
    while not names.is_at_end:
        kind, name = names.number(1), names.part(2)
        if kind == _HOST_NAME:
            digits = name.take(2)
            rest = b"" if name.is_at_end else name.take(len(_SUFFIX))
            known = rest == _SUFFIX and name.is_at_end and digits.strip(b"0123456789abcdef") == b""
            return int(digits, 16) if known else None
    return None
