"""Which rows of the state a block's transactions concern: so that who follows the chain reads again only those.

Pure. The cost is that of the transactions, whatever the size of the state. It says what may have changed, never what
has: the rows themselves are read and verified by whoever wants to know.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from l1.rules.commitment import Opening, channel_id
from l1.rules.outcomes import open_item
from l1.rules.transactions import (
    Action,
    Admit,
    Challenge,
    Checkpoint,
    Close,
    CloseTogether,
    Delegate,
    Demand,
    Deposit,
    Open,
    RegisterKey,
    Report,
    ResumeChannel,
    Reveal,
    RevokeKey,
    SetParameters,
    Settle,
    Transfer,
    account_of,
    decode_transaction,
)

__all__ = ["Touched", "touched_by"]


@dataclass(slots=True)
class Touched:
    """Ids of channels, of hospitals (their keys or their watchtowers), and the openings of new channels."""

    channels: set[bytes] = field(default_factory=set)
    hospitals: set[bytes] = field(default_factory=set)
    opened: list[Opening] = field(default_factory=list)


def touched_by(transactions: Iterable[bytes], chain: bytes) -> Touched:
    """What these transactions concern. Their signatures are not opened: they stand in a block. Raises `Refused`."""
    touched = Touched()
    for data in transactions:
        signed, failed = open_item(data)
        if failed is not None:
            continue  # it took its fee, and changed nothing
        transaction, _ = decode_transaction(signed, chain)
        _note(touched, transaction.action)
    return touched


def _note(touched: Touched, action: Action) -> None:
    match action:
        case Transfer() | SetParameters():
            pass
        case Admit():
            touched.hospitals.add(account_of(action.root))
        case RegisterKey() | RevokeKey() | Delegate():
            touched.hospitals.add(action.hospital)
        case Open():
            touched.channels.add(channel_id(action.opening))
            touched.opened.append(action.opening)
        case Checkpoint():
            touched.channels.update(heads.channel for heads in action.heads)
        case (
            Deposit()
            | ResumeChannel()
            | CloseTogether()
            | Close()
            | Challenge()
            | Report()
            | Demand()
            | Reveal()
            | Settle()
        ):
            touched.channels.add(action.channel)
        case _:
            assert_never(action)
