"""Which words of channels a block's transactions show: whoever keeps a channel compares them with what it holds.

Pure. Nothing is opened here: that the words are genuine, and that a shown entry stands in the tree that they sign for,
is for the reader to see.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from l1.rules.commitment import Signed
from l1.rules.evidence import AccessShown, Evidence, Forked, Overspent, Shown, TwoWords
from l1.rules.outcomes import open_item
from l1.rules.transactions import (
    Action,
    Challenge,
    Checkpoint,
    Close,
    CloseTogether,
    Demand,
    Ended,
    Report,
    Reveal,
    Secret,
    Transaction,
    decode_transaction,
)

__all__ = ["Published", "Revealed", "published_in", "revealed_in"]


class Published(NamedTuple):
    """A commitment that somebody showed, and an entry in its tree, if one was shown too."""

    channel: bytes
    signed: Signed
    shown: Shown | None = None


class Revealed(NamedTuple):
    """A secret that somebody showed for the grant of a side; whether it opens the grant's lock is not looked at."""

    channel: bytes
    side: int
    grant: int
    secret: bytes


def published_in(items: Iterable[bytes], chain: bytes, channels: Collection[bytes]) -> list[Published]:
    """What the transactions of a block show of these channels, also where they failed. Raises `Refused`."""
    shown = (each for transaction in _transactions(items, chain) for each in _words(transaction.action))
    return [each for each in shown if each.channel in channels]


def revealed_in(items: Iterable[bytes], chain: bytes, channels: Collection[bytes]) -> list[Revealed]:
    """[DEMAND-4] The secrets that the transactions of a block show in these channels, also where they failed. Raises
    `Refused`."""
    found: list[Revealed] = []
    for transaction in _transactions(items, chain):
        match transaction.action:
            case Reveal(channel=channel, side=side, grant=grant, answer=Secret(secret=secret)) if channel in channels:
                found.append(Revealed(channel, side, grant, secret))
            case _:
                pass
    return found


def _transactions(items: Iterable[bytes], chain: bytes) -> Iterator[Transaction]:
    for item in items:
        yield decode_transaction(open_item(item)[0], chain)[0]


def _words(action: Action) -> Iterator[Published]:
    match action:
        case Checkpoint(heads=heads):
            yield from (Published(each.channel, signed) for each in heads for signed in each.commitments)
        case CloseTogether(channel=channel, finals=finals):
            yield from (Published(channel, signed) for signed in finals)
        case Close(channel=channel, own=own, peer=peer):
            yield from (Published(channel, signed) for signed in (own, peer) if signed is not None)
        case Challenge(channel=channel, commitment=signed):
            yield Published(channel, signed)
        case Report(channel=channel, evidence=evidence):
            yield from (Published(channel, *shown) for shown in _evidence(evidence))
        case Demand(channel=channel):
            yield Published(channel, action.commitment, action.receipt)
            if action.pay is not None:
                yield Published(channel, action.commitment, action.pay)
            yield Published(channel, action.custodian, action.grant)
        case Reveal(channel=channel, answer=Ended(commitment=signed, ending=ending)):
            yield Published(channel, signed, ending)
        case _:
            pass


def _evidence(evidence: Evidence) -> Iterator[tuple[Signed, Shown | None]]:
    match evidence:
        case TwoWords(first=first, second=second) | Forked(first=first, second=second):
            yield from ((first, None), (second, None))
        case AccessShown(commitment=signed, access=access, seen=seen):
            yield from ((signed, shown) for shown in (access, seen))
        case Overspent(commitment=signed, peer=peer):
            yield from ((each, None) for each in (signed, peer) if each is not None)
