"""What people write on a command line, as numbers: durations, dates, lists of code names."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import IntEnum

from l1.ground.faults import LocalError

__all__ = ["codes", "date_ms", "duration_ms", "end_ms"]

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration_ms(text: str) -> int:
    """`90s`, `10m`, `24h`, `7d`, `500ms`."""
    parts = re.fullmatch(r"(\d{1,9})(ms|[smhd])", text)
    if parts is None:
        raise LocalError(f"{text!r} is not a duration", "Write a number and a unit: 90s, 10m, 24h, 7d.")
    return int(parts[1]) * UNITS_MS[parts[2]]


def date_ms(text: str) -> int:
    """A date or a date with time, ISO 8601; UTC unless it says otherwise."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise LocalError(f"{text!r} is not a date", "Write it as 2026-11-30 or 2026-11-30T08:00:00Z.") from None
    return max(0, int(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000))


def end_ms(text: str) -> int:
    """The end of a date, so that `--to 2020-12-31` means all of that day; or the moment, where one is written."""
    return date_ms(text) + (UNITS_MS["d"] - 1 if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) else 0)


def codes(names: Iterable[str], known: type[IntEnum]) -> tuple[str, ...]:
    """Names out of a code list, in any case, separated by commas or repeated; none means all of them."""
    wanted = [name.strip().upper().replace("-", "_") for text in names for name in text.split(",") if name.strip()]
    for name in wanted:
        if name not in known.__members__:
            raise LocalError(f"{name} is no {known.__name__}", f"Known are: {', '.join(known.__members__)}.")
    return tuple(dict.fromkeys(wanted)) or tuple(known.__members__)
