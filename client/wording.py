"""Figures and entries as people read them: dates, credits, sizes, short ids, and what an entry says in one line.

Programs get the plain figures by `--json`; nothing here is ever read back.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from l1.ground.codes import RecordClass

__all__ = ["ID_DIGITS", "amount", "dates", "day", "duration", "entry_line", "moment", "short"]

ID_DIGITS = 10  # of an id in a table: enough to name it to another command

Fields = dict[str, Any]


def short(text: str) -> str:
    """The begin of an id; commands that take the id take this too."""
    return text[:ID_DIGITS]


def amount(value: int) -> str:
    return f"{value:,} credits"


def moment(at_ms: int) -> str:
    """A point in time, to the second, UTC."""
    return _calendar(at_ms, "%Y-%m-%d %H:%M:%S")


def day(at_ms: int) -> str:
    """A date; times beyond the calendar are `always`."""
    return _calendar(at_ms, "%Y-%m-%d")


def dates(from_ms: int | None, until_ms: int | None) -> str:
    """The span of a record's data; empty where nothing has a date."""
    if from_ms is None or until_ms is None:
        return ""
    end = day(until_ms)
    begin = day(from_ms) if from_ms else "before 1970"  # times are counted from then
    if begin == end:
        return end
    return f"{begin} to {'now, ongoing' if end.startswith('9999') else end}"


def _calendar(at_ms: int, form: str) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return "always"


def duration(ms: int) -> str:
    """How long, in the greatest unit that still says something."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        if ms >= 2 * size:
            return f"{ms // size} {unit}"
    return f"{ms / 1000:.1f} s"


def entry_line(entry: Fields) -> str:
    """What an entry says, in one line. A kind that we do not know shows its number of fields only."""
    says = _LINES.get(entry["kind"], _unknown)(entry)
    about = f"; about {_who(entry['patient'])}" if entry.get("patient") else ""
    void = f"VOID, {entry['void']}: " if entry.get("void") else ""
    return f"{void}{says}{about}"


def _who(name: str) -> str:
    """A local id may be long; its begin tells who is meant."""
    return f"{name[:12]}…" if len(name) > 16 else name


def _actor(entry: Fields) -> str:
    """Who acts, by the name that the hospital has for the handle, if it has one."""
    return f"{entry.get('practitioner_name') or short(entry['practitioner']) + '…'}, {entry['role']}"


def _unknown(entry: Fields) -> str:
    return f"{len(entry)} fields"


def _consent(entry: Fields) -> str:
    if "permit" not in entry:
        return "(private)"
    known = len(entry["classes"]) < len(RecordClass)
    classes = f" of {', '.join(entry['classes'])}" if known else ""
    decision = "permits" if entry["permit"] else "denies"
    return (
        f"{decision} {', '.join(entry['purposes'])}{classes} up to label {entry['label']}, to {day(entry['until_ms'])}"
    )


def _request(entry: Fields) -> str:
    if "purpose" not in entry:
        return "(private)"
    emergency = " in an emergency" if entry["emergency"] else ""
    return f"{_actor(entry)}, asks for {entry['purpose']}{emergency}"


def _grant(entry: Fields) -> str:
    basis = "an emergency" if entry["basis"] == "emergency" else f"{entry['basis']} {entry[entry['basis']]}"
    fee = f", fee {entry['fee']:,}" if entry["fee"] else ""
    if "record_class" not in entry:
        return f"on {basis}{fee}"
    record = f"{entry['record_class']}, label {entry['label']}, for {', '.join(entry['purposes'])}"
    return f"{record}, to {day(entry['until_ms'])}, on {basis}{fee}"


def _access(entry: Fields) -> str:
    who = f" by {_actor(entry)}, for {entry['purpose']}" if "purpose" in entry else ""
    return f"grant {entry['grant']}{who}"


def _deny(entry: Fields) -> str:
    reason = f": {entry['reason'].lower().replace('_', ' ')}" if "reason" in entry else ""
    return f"request {entry['request']}{reason}"


def _of_grant(entry: Fields) -> str:
    return f"grant {entry['grant']}"


_LINES: dict[str, Callable[[Fields], str]] = {
    "seen": lambda entry: f"the other log up to entry {entry['size'] - 1:,}",
    "consent": _consent,
    "withdraw": lambda entry: f"consent {entry['consent']}",
    "request": _request,
    "grant": _grant,
    "deny": _deny,
    "revoke": _of_grant,
    "receipt": _of_grant,
    "release": _of_grant,
    "access": _access,
    "pay": lambda entry: f"{amount(entry['amount'])} for grant {entry['grant']}",
    "review": lambda entry: f"request {entry['request']}",
}
