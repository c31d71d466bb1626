"""The rules of the fold once more, written plainly from the specification: slow, without marks, for the auditor only.

Both logs are read from entry 0 and every entry is judged by looking at all entries before it that its writer had seen.
What the product's fold calls standing must stand here, and the other way round.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from l1.ground.limits import CLOCK_SKEW_MS_MAX, REQUEST_LIFE_MS
from l1.rules.log.entries import (
    Access,
    Consent,
    Deny,
    Entry,
    Grant,
    Pay,
    Receipt,
    Release,
    Request,
    Revoke,
    Seen,
    Withdraw,
)
from l1.rules.log.marks import VOID
from l2.protocol.channel import Channel

__all__ = ["check_log"]

ENTRIES_MAX = 400_000  # of a channel; longer ones are read in part


@dataclass
class _Log:
    entries: list[Any] = field(default_factory=list)
    terms: list[Any] = field(default_factory=list)
    stands: list[bool] = field(default_factory=list)
    seen: int = 0
    time: int = 0
    spent: int = 0
    ended: dict[int, int] = field(default_factory=dict)  # consent or grant → index of the entry that ended it
    receipted: dict[int, int] = field(default_factory=dict)  # grant of the other log → index of the receipt here
    answered: dict[int, int] = field(default_factory=dict)  # request of the other log → first answer here
    denied: set[int] = field(default_factory=set)
    released: set[int] = field(default_factory=set)


def check_log(channel: Channel) -> tuple[str, str] | None:
    """The checker and the detail of what is wrong; None if nothing is."""
    logs = (_Log(), _Log())
    sizes = [head.size for head in channel.heads]
    if sum(sizes) > ENTRIES_MAX:
        return None
    moved = True
    while moved:
        moved = False
        for side in (0, 1):
            at = len(logs[side].entries)
            if at >= sizes[side]:
                continue
            _, entries, terms = channel.readers[side].batch(at)
            seen = max((entry.size for entry in entries if isinstance(entry, Seen)), default=0)
            if seen > len(logs[1 - side].entries):
                continue
            for entry, own in zip(entries, terms, strict=True):
                _take(logs, side, entry, own)
            moved = True
    for side in (0, 1):
        marks = channel.fold.logs[side].marks
        for index, stands in enumerate(logs[side].stands):
            if stands == bool(marks[index] & VOID):
                entry = logs[side].entries[index]
                kind = "access after its end" if isinstance(entry, Access) and not stands else "the fold is right"
                return kind, f"log {side}, entry {index} {entry}: the fold says {'void' if stands else 'it stands'}"
        head = channel.heads[side].commitment
        if head is not None and head.spent != logs[side].spent:
            return "what is signed as spent was spent", f"log {side} spent {logs[side].spent}, {head.spent} is signed"
        if logs[side].spent != channel.fold.logs[side].spent:
            return "the fold is right", f"log {side} spent {logs[side].spent}, the fold says otherwise"
    return None


def _take(logs: tuple[_Log, _Log], side: int, entry: Entry, terms: Any) -> None:
    log, peer = logs[side], logs[1 - side]
    index = len(log.entries)
    if type(entry) is Access:  # most entries are; they change nothing but the time
        log.stands.append(entry.time >= log.time and _may_access(log, peer, entry.grant, entry.time, terms))
        log.entries.append(entry)
        log.terms.append(terms)
        log.time = max(log.time, entry.time)
        return
    in_time = entry.time >= log.time or isinstance(entry, Withdraw | Revoke)
    stands = in_time and _judge(log, peer, index, entry, terms)
    log.time = max(log.time, entry.time)
    log.entries.append(entry)
    log.terms.append(terms)
    log.stands.append(stands)
    if not stands:
        return
    match entry:
        case Seen(size=size):
            log.seen = size
        case Withdraw(consent=target) | Revoke(grant=target):
            log.ended[target] = index
        case Pay(amount=amount):
            log.spent += amount
        case Receipt(grant=target):
            log.receipted[target] = index
        case Grant(request=int(target)):
            log.answered.setdefault(target, index)
        case Deny(request=target):
            log.answered.setdefault(target, index)
            log.denied.add(target)
        case Release(grant=target):
            log.released.add(target)
        case _:
            pass


def _stood(log: _Log, index: int, kind: type) -> bool:
    return 0 <= index < len(log.entries) and log.stands[index] and type(log.entries[index]) is kind


def _judge(log: _Log, peer: _Log, index: int, entry: Entry, terms: Any) -> bool:
    match entry:
        case Seen(size=size, time=time):
            if not log.seen <= size <= len(peer.entries):
                return False
            return not size or time + CLOCK_SKEW_MS_MAX >= peer.entries[size - 1].time
        case Consent():
            return bool(terms.from_ms <= terms.until_ms)
        case Withdraw(consent=target):
            return _stood(log, target, Consent) and target not in log.ended
        case Revoke(grant=target):
            return _stood(log, target, Grant) and target not in log.ended
        case Pay(grant=target, amount=amount):
            known = target < log.seen and _stood(peer, target, Grant)
            return known and peer.entries[target].fee == amount
        case Receipt(grant=target):
            return _may_receipt(log, peer, index, target)
        case Release(grant=target, secret=secret):
            if not _stood(log, target, Grant) or target in log.released:
                return False
            receipt = peer.receipted.get(target)
            heard = receipt is not None and receipt < log.seen
            return heard and sha256(secret).digest() == log.entries[target].lock
        case Grant():
            return _may_grant(log, peer, entry, terms)
        case Deny(request=target):
            return _is_open(log, peer, target, entry.time)
        case Request():
            return True
        case _:
            return False


def _may_access(log: _Log, peer: _Log, target: int, time: int, terms: Any) -> bool:
    """A standing grant that was seen, not ended as far as was seen, for this purpose and time."""
    if target >= log.seen or not _stood(peer, target, Grant):
        return False
    grant, allowed, seen = peer.entries[target], peer.terms[target], log.seen
    if peer.ended.get(target, seen) < seen:
        return False
    if grant.consent is not None and peer.ended.get(grant.consent, seen) < seen:
        return False
    return bool(allowed.purposes >> terms.purpose & 1 and allowed.from_ms <= time <= allowed.until_ms)


def _may_receipt(log: _Log, peer: _Log, index: int, target: int) -> bool:
    if target >= log.seen or not _stood(peer, target, Grant) or target in log.receipted:
        return False
    fee = peer.entries[target].fee
    if not fee:
        return True
    paid = index > 0 and _stood(log, index - 1, Pay) and log.entries[index - 1]
    return bool(paid and paid.grant == target and paid.amount == fee)


def _is_open(log: _Log, peer: _Log, target: int, time: int) -> bool:
    known = target < log.seen and _stood(peer, target, Request) and target not in log.denied
    return known and time <= peer.entries[target].time + REQUEST_LIFE_MS


def _may_grant(log: _Log, peer: _Log, entry: Grant, offered: Any) -> bool:
    """Within its consent and its request; the simulated workload asks and offers only what fits but for its basis."""
    if offered.from_ms > offered.until_ms:
        return False
    if entry.request is not None and not _is_open(log, peer, entry.request, entry.time):
        return False
    if entry.consent is None:
        return entry.request is not None and entry.basis == 1
    return _stood(log, entry.consent, Consent) and entry.consent not in log.ended and entry.basis == 0
