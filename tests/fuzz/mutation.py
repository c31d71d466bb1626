"""Small harm to honest bytes, by a seed: what a broken disk, a broken peer or a clever one would send."""

from random import Random

__all__ = ["mutate"]

_HEADERS = bytes([0x00, 0x7F, 0x80, 0x90, 0x9F, 0xA0, 0xC0, 0xC1, 0xC4, 0xC6, 0xCF, 0xD3, 0xD9, 0xDB, 0xDC, 0xDD, 0xFF])


def mutate(data: bytes, chance: Random) -> bytes:
    """One to four changes: bits, bytes, lengths, cuts, doublings, what stands elsewhere."""
    for _ in range(chance.randint(1, 4)):
        data = chance.choice(_CHANGES)(data, chance)
    return data


def _place(data: bytes, chance: Random) -> int:
    return chance.randrange(len(data)) if data else 0


def _flip(data: bytes, chance: Random) -> bytes:
    at = _place(data, chance)
    return data[:at] + bytes(byte ^ 1 << chance.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]


def _header(data: bytes, chance: Random) -> bytes:
    """Another msgpack header, which claims another kind or length."""
    at = _place(data, chance)
    return data[:at] + bytes([chance.choice(_HEADERS)]) + data[at + 1 :]


def _insert(data: bytes, chance: Random) -> bytes:
    at = _place(data, chance)
    return data[:at] + chance.randbytes(chance.choice([1, 2, 4, 9])) + data[at:]


def _cut(data: bytes, chance: Random) -> bytes:
    at = _place(data, chance)
    return data[:at] if chance.random() < 0.5 else data[:at] + data[at + chance.randint(1, 8) :]


def _repeat(data: bytes, chance: Random) -> bytes:
    start, end = sorted((_place(data, chance), _place(data, chance)))
    return data[:end] + data[start:end] + data[end:]


def _swap(data: bytes, chance: Random) -> bytes:
    start, end = sorted((_place(data, chance), _place(data, chance)))
    return data[end:] + data[start:end] + data[:start]


_CHANGES = (_flip, _flip, _header, _insert, _cut, _repeat, _swap)
