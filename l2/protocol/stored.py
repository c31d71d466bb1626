"""Whether what a store gives back is what was once signed. A checksum finds damage; only a signature proves words.

[STORE-2] Every signed thing is opened once when it is read from the disk: heads, last words and `resume` when a channel
is loaded, a batch when it is sent or given back again. A key that the chain's node does not know yet proves nothing,
and refutes nothing. [STORE-3] A log ends with the batch that its head names.
"""

from collections.abc import Callable
from typing import TypeVar

from l1.ground.faults import Fault, Refused, require
from l1.ground.signing import Context
from l1.rules.commitment import Commitment, Resume, Signed, open_closing, open_commitment, open_resume
from l2.protocol.channel import Channel, commitment_at
from l2.protocol.rows import Damaged

__all__ = ["KeysEver", "check_signed", "check_stored"]

KeysEver = tuple[dict[int, bytes], dict[int, bytes]]
"""All channel keys that each side ever registered, by number."""

T = TypeVar("T", Commitment, Resume)


def check_signed(channel: Channel, keys: KeysEver) -> None:
    """A loaded channel's heads, last words, closings and `resume`. Raises `Damaged`."""
    try:
        for side, head in enumerate(channel.heads):
            _check_commitment(channel, head.signed, side, keys)
            last = commitment_at(channel, side, head.size)
            ends = _words(last) == _words(head.signed)
            require(ends, Fault.WRONG_ROOT, f"the log of side {side} does not end as its head says")
            _check_commitment(channel, channel.row.finals[side], side, keys)
            _check_closing(channel, side, keys)
        if (resume := channel.row.resume) is not None:
            said = _opened(open_resume, resume, channel.context, keys[1 - channel.side])
            require(said is None or said.side == channel.side, Fault.BAD_RESUME, "the resume is for the other side")
    except Refused as refused:
        raise Damaged(str(refused)) from None


def _words(signed: Signed | None) -> bytes | None:
    """[ROT-3] What was said, whichever key of its owner said it: a head is signed again when the key changes."""
    return None if signed is None else signed.body


def check_stored(channel: Channel, signed: Signed, side: int) -> None:
    """The commitment of a stored batch. Raises `Damaged`."""
    try:
        _check_commitment(channel, signed, side, channel.keys_ever)
    except Refused as refused:
        raise Damaged(str(refused)) from None


def _check_commitment(channel: Channel, signed: Signed | None, side: int, keys: KeysEver) -> None:
    if signed is not None:
        said = _opened(open_commitment, signed, channel.context, keys[side])
        require(said is None or said.side == side, Fault.BAD_SIGNATURE, "the commitment is for the other side's log")


def _check_closing(channel: Channel, side: int, keys: KeysEver) -> None:
    signed, (first, second) = channel.row.closings[side], channel.row.finals
    key = None if signed is None else keys[side].get(signed.key)
    if signed is not None and key is not None and first is not None and second is not None:
        open_closing(signed, channel.context, key, (first, second))


def _opened(
    open_one: Callable[[Signed, Context, bytes], T], signed: Signed, context: Context, keys: dict[int, bytes]
) -> T | None:
    """What was signed; None for a key that is not known yet. Raises `Refused`."""
    key = keys.get(signed.key)
    return None if key is None else open_one(signed, context, key)
