"""Every decoder of the product, found by itself, and an honest value for each to begin with."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from random import Random
from types import ModuleType
from typing import Any

import msgspec
from msgspec import inspect

import l1
import l2
from l1.ground.codec import encode

__all__ = ["Decoder", "decoders", "honest"]

LENGTHS = (0, 1, 2, 20, 32, 33, 64)
NUMBERS = (0, 1, 127, 128, 255, 256, 65_535, 65_536, 2**32, 2**47, 2**53 - 1)

Decoder = tuple[str, Callable[[bytes], Any], Any]
"""Where it stands, the decoder, and the type that it decodes to."""


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def decoders() -> list[Decoder]:
    """All that `l1.ground.codec.decoder` has made at the top of a module."""
    found: dict[int, Decoder] = {}
    for package in (l1, l2):
        for module in _modules(package):
            for name, value in vars(module).items():
                if getattr(value, "__qualname__", "") == "decoder.<locals>.decode":
                    cells = dict(zip(value.__code__.co_freevars, value.__closure__, strict=True))
                    shape = cells["decode_once"].cell_contents.__self__.type
                    if id(value) not in found or getattr(shape, "__module__", "") == module.__name__:
                        found[id(value)] = (f"{module.__name__}.{name}", value, shape)
    return sorted(found.values(), key=lambda one: one[0])


def honest(shape: Any, chance: Random) -> bytes:
    """The canonical bytes of some value of that type, within all its bounds."""
    return encode(_value(inspect.type_info(shape), chance))


def _value(info: inspect.Type, chance: Random) -> Any:
    match info:
        case inspect.IntType(ge=least, le=most):
            low = 0 if least is None else least
            high = 2**53 if most is None else most
            return chance.choice([number for number in (*NUMBERS, low, high) if low <= number <= high])
        case inspect.BytesType(min_length=least, max_length=most):
            return chance.randbytes(_length(least, most, chance))
        case inspect.StrType(min_length=least, max_length=most):
            return "é" * _length(least, most, chance)
        case inspect.BoolType():
            return chance.random() < 0.5
        case inspect.NoneType():
            return None
        case inspect.EnumType(cls=cls):
            return chance.choice(list(cls))
        case inspect.LiteralType(values=values):
            return chance.choice(list(values))
        case inspect.UnionType(types=types):
            return _value(chance.choice(list(types)), chance)
        case inspect.TupleType(item_types=types):
            return tuple(_value(one, chance) for one in types)
        case inspect.VarTupleType(item_type=one, min_length=least, max_length=most):
            return tuple(_value(one, chance) for _ in range(min(_length(least, most, chance), max(least or 0, 3))))
        case inspect.StructType(cls=cls, fields=fields):
            return cls(**{field.name: _value(field.type, chance) for field in fields})
    raise AssertionError(f"no value is known for {info}: add it here")


def _length(least: int | None, most: int | None, chance: Random) -> int:
    low, high = least or 0, 40 if most is None else most
    return chance.choice([length for length in (*LENGTHS, low) if low <= length <= high])


def spelled(value: Any) -> bytes:
    """How a decoded value is spelled."""
    return msgspec.msgpack.encode(value)
