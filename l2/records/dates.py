"""FHIR, DICOM and HL7 v2 dates as milliseconds since the epoch. A partial date is the span that it names."""

import re
from datetime import UTC, datetime, timedelta

__all__ = ["ONGOING_MS", "Span", "fhir_span", "join_spans", "packed_span"]

Span = tuple[int, int]
"""First and last moment, ms since the epoch; never before 1970."""

ONGOING_MS = 253_402_300_799_999
"""The end of what goes on without one: the last millisecond that FHIR can write, 9999-12-31."""

_FHIR = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(T.+)?)?)?$", re.ASCII)
_PACKED = re.compile(r"(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?", re.ASCII)
_DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _ms(moment: datetime) -> int:
    since = moment - _EPOCH
    return max(0, since.days * _DAY_MS + since.seconds * 1000 + since.microseconds // 1000)


def _span(numbers: list[int]) -> Span | None:
    """Of year, month, day, hour, minute, second: as many as are known."""
    try:
        start = datetime(*(numbers + [1, 1][len(numbers) - 1 :])[:6], tzinfo=UTC)  # type: ignore[misc,arg-type]
        match len(numbers):
            case 1:
                end = start.replace(year=start.year + 1)
            case 2:
                end = (start + timedelta(days=32)).replace(day=1)
            case n:
                end = start + [timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)][n - 3]
    except (ValueError, OverflowError):
        return None
    return _ms(start), max(_ms(start), _ms(end) - 1)


def fhir_span(text: object) -> Span | None:
    """The span of a FHIR date, dateTime or instant (R4, section 2.24); None where it is none."""
    matched = _FHIR.match(text) if isinstance(text, str) and len(text) < 64 else None
    if matched is None:
        return None
    if matched[4] is None:
        return _span([int(n) for n in matched.groups()[:3] if n])
    try:
        moment = datetime.fromisoformat(matched[0])
        at = _ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return _span([int(n) for n in matched.groups()[:3]])
    return at, at


def packed_span(text: str) -> Span | None:
    """The span of `YYYYMMDDhhmmss`, as DICOM and HL7 v2 write it; zones are ignored (a day's error at most)."""
    matched = _PACKED.match(text)
    return _span([int(n) for n in matched.groups() if n]) if matched else None


def join_spans(spans: list[Span]) -> tuple[int | None, int | None]:
    """From the first moment of all to the last; None and None where there is no date."""
    if not spans:
        return None, None
    return min(start for start, _ in spans), max(end for _, end in spans)
