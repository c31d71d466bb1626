"""Whose words a handover holds, and which of them a tower keeps. It knows no chain, no disk and no operator.

[HAND-1] A hospital's own words, for this tower. [HAND-2] Only a hospital that names it on the chain is served.
[HAND-3] Each commitment is the peer's own words in a channel of that hospital. [HAND-4] The newest is kept.
"""

from typing import NamedTuple

from l1.ground.faults import Fault, Refused, require
from l1.ground.signing import Context
from l1.rules.commitment import Signed, decode_commitment, open_commitment
from l1.rules.keys import key_counts
from l1.rules.state import Channel, Hospital, Phase
from l1.rules.transactions import CHANNEL
from l2.protocol.handover import Handed, Handover, age_of_signed, open_handover
from l2.tower.judging import Book, judge, note_newer
from l2.tower.rows import Held, Known, side_key

__all__ = ["Good", "check_sender", "key_of", "keep", "open_handed", "peer_of"]


class Good(NamedTuple):
    """A commitment known to be genuine; `row` is the channel's where the tower did not watch it before."""

    key: bytes
    held: Held
    row: Channel | None


def check_sender(
    signed: Signed, handover: Handover, known: Known, *, chain: bytes, tower: bytes, clock_ms: int
) -> None:
    """[HAND-1, 2] Raise `Refused` unless these are the hospital's own words, for this tower, which it names."""
    counts = key_counts(known.hospital, signed.key, CHANNEL, clock_ms)
    require(counts, Fault.UNKNOWN_KEY, f"key {signed.key} is no channel key of the hospital that counts now")
    open_handover(signed, handover, chain=chain, tower=tower, key=known.hospital.keys[signed.key].key)
    require(known.reward is not None, Fault.NOT_AUTHORISED, "the hospital has not named this tower on the chain")


def key_of(handed: Handed) -> bytes:
    """Whose words they say they are; believed once the signature of that side opens. Raises `Refused`."""
    return side_key(handed.channel, decode_commitment(handed.commitment.body).side)


def peer_of(hospital: bytes, key: bytes, held: Held | None, row: Channel | None) -> bytes:
    """The hospital whose words they must be. Raises `Refused`."""
    if held is not None:
        require(held.hospital == hospital, Fault.NOT_AUTHORISED, "the hospital is no side of this channel")
        return held.peer
    if row is None:
        raise Refused(Fault.UNKNOWN_CHANNEL, "no channel of that id was opened")
    require(row.phase != Phase.SETTLED, Fault.WRONG_PHASE, "the channel is settled")
    side = key[32]
    ours = row.opening.hospitals[1 - side] == hospital
    require(ours, Fault.NOT_AUTHORISED, "these are not the words of the hospital's peer in a channel of its own")
    return row.opening.hospitals[side]


def open_handed(hospital: bytes, handed: Handed, peer: Hospital, *, chain: bytes, row: Channel | None) -> Good:
    """[HAND-3] The commitment, opened under a channel key of the peer. Raises `Refused`."""
    public = _channel_key(peer, handed.commitment.key)
    commitment = open_commitment(handed.commitment, Context(chain=chain, channel=handed.channel), public)
    held = Held(hospital=hospital, peer=peer.id, size=commitment.size, signed=handed.commitment)
    return Good(key_of(handed), held, row)


def keep(book: Book, new: Good, height: int, tower: bytes) -> bool:
    """[HAND-4] Keep what is newer; whether it is to be shown to the chain at once."""
    held = book.held(new.key)
    if held is None and new.row is None:
        return False  # it was settled while we looked
    if held is not None and age_of_signed(held.signed) >= age_of_signed(new.held.signed):
        return False
    book.hold(new.key, new.held)
    if new.row is not None:
        judge(book, new.key, new.row, height, tower)
        return new.row.phase == Phase.CLOSING
    return note_newer(book, new.key, new.held.size)


def _channel_key(hospital: Hospital, number: int) -> bytes:
    key = hospital.key(number)
    if key is None or key.kind != CHANNEL:
        raise Refused(Fault.UNKNOWN_KEY, f"key {number} is no channel key of the peer")
    return key.key
