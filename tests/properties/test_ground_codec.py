"""The codec, against another msgpack: one meaning, one spelling, whatever the bytes."""

from contextlib import suppress
from typing import Annotated

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, Refused


class Inner(Shape, frozen=True):
    size: int
    root: Annotated[bytes, Meta(max_length=64)]


class Left(Shape, frozen=True, tag=1):
    name: str


class Right(Shape, frozen=True, tag=2):
    inner: Inner | None


class Outer(Shape, frozen=True):
    number: int
    yes: bool
    note: str
    inners: tuple[Inner, ...]
    either: Left | Right


decode = decoder(Outer, bytes_max=2_000, what="outer")

numbers = st.integers(-(2**63), 2**64 - 1)
inners = st.builds(Inner, size=numbers, root=st.binary(max_size=64))
outers = st.builds(
    Outer,
    number=numbers,
    yes=st.booleans(),
    note=st.text(max_size=40),
    inners=st.lists(inners, max_size=4).map(tuple),
    either=st.one_of(st.builds(Left, name=st.text(max_size=40)), st.builds(Right, inner=st.none() | inners)),
)


def plain(outer: Outer) -> list[object]:
    """The same value as nested lists."""

    def row(inner: Inner) -> list[object]:
        return [inner.size, inner.root]

    match outer.either:
        case Left(name=name):
            either: list[object] = [1, name]
        case Right(inner=inner):
            either = [2, None if inner is None else row(inner)]
    return [outer.number, outer.yes, outer.note, [row(inner) for inner in outer.inners], either]


@given(outers)
def test_what_is_encoded_decodes_to_itself(outer: Outer) -> None:
    assert decode(encode(outer)) == outer


@given(outers)
def test_the_spelling_is_that_of_every_msgpack(outer: Outer) -> None:
    assert encode(outer) == msgpack.packb(plain(outer), use_bin_type=True)


@given(outers, st.data())
def test_a_changed_bit_gives_another_value_or_a_refusal(outer: Outer, data: st.DataObject) -> None:
    good = encode(outer)
    place = data.draw(st.integers(0, len(good) * 8 - 1))
    bad = bytearray(good)
    bad[place // 8] ^= 1 << place % 8
    with suppress(Refused):
        other = decode(bytes(bad))
        assert other != outer
        assert encode(other) == bytes(bad)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_in_its_one_spelling_or_refused(data: bytes) -> None:
    with suppress(Refused):
        assert encode(decode(data)) == data


@given(outers, st.data())
def test_every_prefix_and_every_suffix_is_refused(outer: Outer, data: st.DataObject) -> None:
    good = encode(outer)
    for bad in (good[: data.draw(st.integers(0, len(good) - 1))], good + b"\x00"):
        with pytest.raises(Refused) as refused:
            decode(bad)
        assert refused.value.fault is Fault.MALFORMED
