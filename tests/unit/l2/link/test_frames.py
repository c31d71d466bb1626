"""Frames: the same messages however the bytes were cut, and a named fault for the rest."""

from itertools import pairwise
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l1.ground.faults import Fault, Refused
from l2.link.frames import HEADER_BYTES, FrameReader, FrameWriter, Message

KNOWN = frozenset({16, 17, 18})
messages = st.lists(st.tuples(st.sampled_from(sorted(KNOWN)), st.binary(max_size=200)), min_size=1, max_size=20)


def frame(kind: int, number: int, payload: bytes = b"") -> bytes:
    return pack(">IBI", len(payload), kind, number) + payload


def read_all(data: bytes, cuts: list[int], bytes_max: int = 1000) -> tuple[list[Message], Fault | None]:
    """What a reader makes of the data, cut at these places."""
    reader, taken = FrameReader(KNOWN, bytes_max), []
    places = [0, *sorted(cuts), len(data), len(data)]
    try:
        for start, end in pairwise(places):
            taken += reader.feed(data[start:end])
        reader.feed(b"")
    except Refused as refused:
        return taken, refused.fault
    return taken, None


@given(sent=messages, data=st.data())
def test_however_it_is_cut_the_same_messages_arrive(sent: list[Message], data: st.DataObject) -> None:
    wire = FrameWriter().join(sent)
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=8))
    assert read_all(wire, cuts) == (sent, None)
    assert read_all(wire, list(range(len(wire)))) == (sent, None)


@given(data=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=5))
def test_any_bytes_give_messages_or_a_fault_whatever_the_cuts(data: bytes, cuts: list[int]) -> None:
    assert read_all(data, cuts) == read_all(data, [])


def test_numbers_go_on_over_several_writes_and_wrap() -> None:
    writer, reader = FrameWriter(), FrameReader(KNOWN)
    assert reader.feed(writer.join([(16, b"a")]) + writer.join([(17, b"b")])) == [(16, b"a"), (17, b"b")]
    writer._number = reader._number = 2**32 - 1
    assert reader.feed(writer.join([(16, b"last"), (16, b"first")])) == [(16, b"last"), (16, b"first")]


@pytest.mark.parametrize(
    ("wire", "fault"),
    [
        (frame(16, 1), Fault.FRAME_GAP),
        (frame(16, 0) + frame(16, 0), Fault.FRAME_GAP),
        (frame(20, 0), Fault.UNKNOWN_MESSAGE),
        (pack(">IBI", 101, 16, 0), Fault.TOO_LARGE),
    ],
)
def test_each_wrong_frame_has_its_fault(wire: bytes, fault: Fault) -> None:
    assert read_all(wire, [], bytes_max=100)[1] is fault


def test_unknown_odd_messages_are_passed_over() -> None:
    assert read_all(frame(21, 0, b"from the future") + frame(16, 1, b"x"), []) == ([(16, b"x")], None)


def test_what_came_before_a_fault_is_delivered_and_nothing_after() -> None:
    reader = FrameReader(KNOWN)
    assert reader.feed(frame(16, 0, b"good") + frame(16, 7) + frame(16, 1)) == [(16, b"good")]
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            reader.feed(frame(16, 1))
        assert refused.value.fault is Fault.FRAME_GAP


def test_a_length_is_judged_before_its_payload_is_awaited() -> None:
    with pytest.raises(Refused):
        FrameReader(KNOWN, bytes_max=8).feed(frame(16, 0, bytes(9))[:HEADER_BYTES])


def test_one_by_one_leaves_what_follows_for_later_and_wider_limits() -> None:
    reader = FrameReader(frozenset({250}), bytes_max=8, one_by_one=True)
    wire = FrameWriter().join([(250, b"hello"), (250, b"welcome"), (16, bytes(100)), (16, b"next")])
    assert reader.feed(wire) == [(250, b"hello")]
    assert reader.feed(b"") == [(250, b"welcome")]
    reader.widen(KNOWN)
    assert reader.feed(b"") == [(16, bytes(100)), (16, b"next")]
