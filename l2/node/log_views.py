"""What the desk is shown of a channel's logs: entries by name, void ones with their reason, filtered for an audit.

It reads batches as they are stored, and gives other tasks their turn between them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import trio

from l1.rules.log.entries import Consent, Deny, Entry, Grant, Request, Terms, Withdraw
from l1.rules.log.fold import CONSENT, GRANT, KIND, REQUEST, VOID, Void
from l2.desk import words
from l2.desk.entry_words import entry_words
from l2.protocol.channel import Channel
from l2.protocol.rows import void_key

__all__ = ["Filter", "Who", "entry_view", "entry_views"]

Who = Callable[[bytes, bytes], str | None]
"""`who(channel, handle)`: the person behind a handle, in the hospital's own words, if it has met them."""


@dataclass(frozen=True, slots=True, repr=False)
class Filter:
    """What is looked for: handles in this channel. An entry about a grant is about its patient, too."""

    patient: bytes | None = None
    practitioner: bytes | None = None

    def fits(self, channel: Channel, side: int, entry: Entry, terms: Terms | None) -> bool:
        if self.practitioner is not None and getattr(terms, "practitioner", None) != self.practitioner:
            return False
        return self.patient is None or subject_of(channel, side, entry, terms) == self.patient


async def entry_views(
    channel: Channel, side: int, start: int, count: int, *, who: Who, wanted: Filter | None = None
) -> list[words.Entry]:
    """At most `count` entries of a side's log from `start` on that fit."""
    shown: list[words.Entry] = []
    size = channel.heads[side].size
    while start < size and len(shown) < count:
        for index, entry, terms in _rest_of_batch(channel, side, start):
            if len(shown) < count and (wanted is None or wanted.fits(channel, side, entry, terms)):
                people = _people(channel, side, entry, terms, who)
                shown.append(entry_view(channel, side, index, entry, terms) | people)
            start = index + 1
        await trio.lowlevel.checkpoint()
    return shown


def _rest_of_batch(channel: Channel, side: int, start: int) -> list[tuple[int, Entry, Terms | None]]:
    """The entries of one stored batch from `start` on, with their indices."""
    reader = channel.readers[side]
    first = reader.first_of(start)
    _, entries, terms = reader.batch(first)
    return [(first + at, entries[at], terms[at]) for at in range(start - first, len(entries))]


def entry_view(channel: Channel, side: int, index: int, entry: Entry, terms: Terms | None) -> words.Entry:
    """An entry in words. Codes go by their names, bytes are hex."""
    shown: words.Entry = {
        "index": index,
        "side": "own" if side == channel.side else "peer",
        "kind": type(entry).__name__.lower(),
    }
    return shown | entry_words(entry, terms) | {"void": _void_of(channel, side, index)}


def _people(channel: Channel, side: int, entry: Entry, terms: Terms | None, who: Who) -> dict[str, str]:
    """Who the entry is about and who acted, by the names that we have for them."""
    handles = {
        "patient": subject_of(channel, side, entry, terms),
        "practitioner_name": getattr(terms, "practitioner", None),
    }
    names = {field: None if handle is None else who(channel.id, handle) for field, handle in handles.items()}
    return {field: name for field, name in names.items() if name is not None}


def _void_of(channel: Channel, side: int, index: int) -> str | None:
    if not channel.fold.logs[side].marks[index] & VOID:
        return None
    stored = channel.rows.get(void_key(side, index))
    assert stored is not None, "a void entry has a reason"
    return Void(stored[0]).name.lower().replace("_", " ")


def subject_of(channel: Channel, side: int, entry: Entry, terms: Terms | None) -> bytes | None:
    """The patient's handle that an entry is about, itself or through what it refers to."""
    match entry:
        case Consent() | Request():
            found: bytes | None = getattr(terms, "subject", None)
            return found
        case Withdraw(consent=consent):
            return _subject_at(channel, side, consent, CONSENT)
        case Deny(request=request):
            return _subject_at(channel, 1 - side, request, REQUEST)
        case Grant(consent=consent, request=asked):
            if consent is not None:
                return _subject_at(channel, side, consent, CONSENT)
            return None if asked is None else _subject_at(channel, 1 - side, asked, REQUEST)
    grant: int | None = getattr(entry, "grant", None)
    if grant is None:
        return None
    writer = side if type(entry).__name__ in ("Revoke", "Release") else 1 - side
    return _subject_at(channel, writer, grant, GRANT)


def _subject_at(channel: Channel, side: int, index: int, kind: int) -> bytes | None:
    """The subject of an entry that another refers to; None where there is no such entry."""
    marks = channel.fold.logs[side].marks
    if index >= len(marks) or marks[index] & KIND != kind:
        return None
    entry, terms = channel.fold.row(side, index)
    return subject_of(channel, side, entry, terms)
