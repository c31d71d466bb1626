"""Dates: a partial one is a span, an odd one is none, nothing raises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2.records.dates import fhir_span, join_spans, packed_span

DAY = 86_400_000


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("1970", (0, 365 * DAY - 1)),
        ("1970-02", (31 * DAY, 59 * DAY - 1)),
        ("1970-01-02", (DAY, 2 * DAY - 1)),
        ("1970-01-01T00:00:01Z", (1000, 1000)),
        ("1970-01-01T01:00:00.141+01:00", (141, 141)),
        ("1970-01-01T00:00:01", (1000, 1000)),
        ("1970-01-01T99", (0, DAY - 1)),
        ("1950-01-01", (0, 0)),
        ("1970-13", None),
        ("yesterday", None),
        ("", None),
        (5, None),
        (None, None),
    ],
)
def test_fhir_dates(text: object, span: tuple[int, int] | None) -> None:
    assert fhir_span(text) == span


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("19700102", (DAY, 2 * DAY - 1)),
        ("197001020000", (DAY, DAY + 59_999)),
        ("19700101000001.5", (1000, 1999)),
        ("1970", (0, 365 * DAY - 1)),
        ("19701301", None),
        ("x", None),
        ("9999", None),  # its end lies beyond what a date can say
    ],
)
def test_packed_dates(text: str, span: tuple[int, int] | None) -> None:
    assert packed_span(text) == span


@given(st.text(max_size=30))
def test_no_text_raises(text: str) -> None:
    for span in (fhir_span(text), packed_span(text)):
        assert span is None or 0 <= span[0] <= span[1]


def test_spans_join() -> None:
    assert join_spans([(5, 6), (1, 2)]) == (1, 6)
    assert join_spans([]) == (None, None)
