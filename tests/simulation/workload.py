"""What hospitals write: consents, grants, receipts with fees, accesses, revocations, in the proportions of a busy day.

Indices are found in the fold's marks at random, so that most entries fit what stands and some come too late.
"""

from random import Random

from l1.ground.hashing import digest
from l1.rules.log.entries import (
    Access,
    AccessTerms,
    Consent,
    ConsentTerms,
    Deny,
    DenyTerms,
    Entry,
    Grant,
    GrantTerms,
    Pay,
    Receipt,
    Release,
    Request,
    RequestTerms,
    Revoke,
    Terms,
    Withdraw,
)
from l1.rules.log.marks import ANSWERED, CONSENT, GRANT, REQUEST
from l2.protocol.channel import Channel

__all__ = ["Entries", "any_entries", "is_ended", "make_entries", "opening_of", "pay_for"]

Entries = tuple[list[Entry], list[Terms]]

SECRET = digest(b"secret of a simulated grant")
LOCK = digest(SECRET)
FOREVER_MS = 2**47
PURPOSES = 0b11
LEAST_FEE = 20  # with less, a deposit is not overspent in one batch

_CONSENT = ConsentTerms(
    subject=b"s" * 16,
    permit=True,
    purposes=PURPOSES,
    classes=2**17 - 1,
    label=3,
    from_ms=0,
    until_ms=FOREVER_MS,
    document=digest(b"document"),
)
_GRANT = GrantTerms(
    content=digest(b"content"),
    cipher_root=digest(b"cipher"),
    cipher_size=5,
    key=digest(b"key"),
    media_type=1,
    record_class=2,
    label=3,
    obligations=0,
    purposes=1,
    from_ms=0,
    until_ms=FOREVER_MS,
)
_REQUEST = RequestTerms(
    subject=b"s" * 16,
    purpose=0,
    practitioner=b"p" * 16,
    role=0,
    classes=2**17 - 1,
    data_from_ms=0,
    data_until_ms=5,
    justification=b"",
)
_ACCESS = AccessTerms(practitioner=b"p" * 16, role=0, purpose=0)


def _find(rng: Random, marks: bytearray, *wanted: int) -> int | None:
    """An index whose mark is one of those wanted, at or before a random place."""
    if not marks:
        return None
    found = max(marks.rfind(bytes([mark]), 0, rng.randrange(len(marks)) + 1) for mark in wanted)
    return None if found < 0 else found


def make_entries(rng: Random, channel: Channel, time: int, entries: int, fee: int) -> Entries | None:
    """One append to our own log; None when what was drawn finds nothing to refer to."""
    own, peer = channel.fold.logs[channel.side].marks, channel.fold.logs[1 - channel.side].marks
    standing, count = (GRANT, GRANT | ANSWERED), rng.randint(1, entries)
    kind = rng.choices(range(9), (6, 1, 8, 2, 8, 6, 3, 40, 3))[0]
    if kind == 0 or not own:
        return [Consent(time=time)], [_CONSENT]
    if kind == 7:
        at = _find(rng, peer, *standing)
        return None if at is None else ([Access(time=time, grant=at)] * count, [_ACCESS] * count)
    if kind == 3:
        return [Request(time=time, emergency=False)], [_REQUEST]
    if kind == 8:
        return _answer(rng, peer, time, fee)
    return _about_grants(rng, kind, own, peer, time, count, channel, fee)


def _about_grants(
    rng: Random, kind: int, own: bytearray, peer: bytearray, time: int, count: int, channel: Channel, fee: int
) -> Entries | None:
    standing = (GRANT, GRANT | ANSWERED)
    if kind in (1, 2):
        at = _find(rng, own, CONSENT)
        if at is None:
            return None
        if kind == 1:
            return [Withdraw(time=time, consent=at)], []
        grant = Grant(time=time, basis=0, consent=at, request=None, fee=fee, lock=LOCK)
        return [grant] * min(count, 20), [_GRANT] * min(count, 20)
    if kind == 4:
        at = _find(rng, peer, GRANT)
        return None if at is None else (_receipt(channel, at, time), [])
    at = _find(rng, own, GRANT | ANSWERED) if kind == 5 else _find(rng, own, *standing)
    if at is None:
        return None
    return ([Release(time=time, grant=at, secret=SECRET)] if kind == 5 else [Revoke(time=time, grant=at)]), []


def _receipt(channel: Channel, grant: int, time: int) -> list[Entry]:
    fee = channel.fold.row(1 - channel.side, grant)[0].fee
    receipt = Receipt(time=time, grant=grant)
    return [Pay(time=time, amount=fee, grant=grant), receipt] if fee else [receipt]


def _answer(rng: Random, peer: bytearray, time: int, fee: int) -> Entries | None:
    at = _find(rng, peer, REQUEST)
    if at is None:
        return None
    if rng.random() < 0.3:
        return [Deny(time=time, request=at)], [DenyTerms(reason=1)]
    return [Grant(time=time, basis=1, consent=None, request=at, fee=fee, lock=LOCK)], [_GRANT]


def pay_for(rng: Random, channel: Channel, time: int) -> list[Entry]:
    """More payments for one grant of the peer than our deposit covers; none where no grant has a fee."""
    seen = channel.fold.logs[channel.side].seen
    at = _find(rng, channel.fold.logs[1 - channel.side].marks[:seen], GRANT, GRANT | ANSWERED)
    fee = 0 if at is None else channel.fold.row(1 - channel.side, at)[0].fee
    if at is None or fee < LEAST_FEE:
        return []
    most = channel.deposits[channel.side] + channel.fold.logs[1 - channel.side].spent
    return [Pay(time=time, amount=fee, grant=at)] * (most // fee + 1)


def opening_of(grant: int, time: int) -> Entries:
    """An access to that grant."""
    return [Access(time=time, grant=grant)], [_ACCESS]


def any_entries(rng: Random, time: int, index: int) -> Entries:
    """Entries that may well be void: what somebody writes who does not ask its own fold."""
    made: list[Entries] = [
        ([Access(time=time, grant=index)] * 3, [_ACCESS] * 3),
        ([Revoke(time=time, grant=index)], []),
        ([Withdraw(time=time, consent=index)], []),
        ([Grant(time=time, basis=0, consent=index, request=None, fee=1, lock=LOCK)], [_GRANT]),
        ([Receipt(time=time, grant=index)], []),
        ([Pay(time=time, amount=rng.randrange(50), grant=index)], []),
        ([Release(time=time, grant=index, secret=SECRET)], []),
        ([Access(time=max(time - 10_000, 0), grant=index)], [_ACCESS]),
    ]
    return rng.choice(made)


def is_ended(channel: Channel, grant: int, ended: set[int]) -> bool:
    """Whether a grant of the peer, or its consent, is among the entries that ended."""
    entry = channel.fold.row(1 - channel.side, grant)[0]
    return grant in ended or getattr(entry, "consent", None) in ended
