"""What is shown to L1 about a channel: the channel itself, its sides, and commitments known to be genuine and to count.

Shared by checkpoints and closes. It judges each commitment alone; what follows from it is the caller's affair.
"""

from typing import Any, NamedTuple

from msgspec.structs import replace

from l1.ground.faults import Fault, Refused, require
from l1.ground.signing import Context
from l1.rules.accounts import Asking, asking_hospital
from l1.rules.commitment import Commitment, Signed, decode_commitment, open_commitment
from l1.rules.keys import can_end_things, commitment_key
from l1.rules.state import Channel, Draft, Hospital, SideState
from l1.rules.transactions import CHANNEL, ROOT

__all__ = [
    "Court",
    "acting_side",
    "channel_key_of",
    "check_window_open",
    "court_of",
    "find_channel",
    "hospital_on",
    "is_below_resume",
    "open_shown",
    "open_words",
    "raise_spent",
    "side_of",
    "with_side",
]


class Court(NamedTuple):
    """What the chain knows where words of a channel are judged."""

    chain: bytes
    channel: Channel
    hospitals: tuple[Hospital, Hospital]
    key_window_ms: int


def court_of(draft: Draft, channel: Channel, asking: Asking) -> Court:
    hospitals = (hospital_on(draft, channel, 0), hospital_on(draft, channel, 1))
    return Court(asking.chain, channel, hospitals, draft.get_parameters().key_window_ms)


def find_channel(draft: Draft, channel: bytes) -> Channel:
    found = draft.get_channel(channel)
    if found is None:
        raise Refused(Fault.UNKNOWN_CHANNEL, "no channel of that id was opened")
    return found


def hospital_on(draft: Draft, channel: Channel, side: int) -> Hospital:
    hospital = draft.get_hospital(channel.opening.hospitals[side])
    assert hospital is not None, "a channel's hospitals are admitted"
    return hospital


def side_of(channel: Channel, hospital: bytes) -> int:
    """Which side of the channel a hospital is. Raises `Refused` (NOT_AUTHORISED) if it is none."""
    require(hospital in channel.opening.hospitals, Fault.NOT_AUTHORISED, "the hospital is no side of this channel")
    return channel.opening.hospitals.index(hospital)


def acting_side(draft: Draft, channel: Channel, asking: Asking) -> int:
    """[CLOSE-3] The side of the asking root or channel key, if it is not revoked. An expired one still ends things."""
    hospital, key = asking_hospital(draft, asking)
    acts = key.kind in (ROOT, CHANNEL) and can_end_things(hospital, key, asking.clock_ms)
    require(acts, Fault.NOT_AUTHORISED, f"key {key.number} may not do this to a channel")
    return side_of(channel, hospital.id)


def with_side(channel: Channel, side: int, **changes: Any) -> Channel:
    sides: tuple[SideState, SideState] = channel.sides
    changed = replace(sides[side], **changes)
    return replace(channel, sides=(changed, sides[1]) if side == 0 else (sides[0], changed))


def raise_spent(channel: Channel, commitment: Commitment) -> Channel:
    """[CLOSE-8] The greatest total that a side is shown to have signed counts, and whence it is known."""
    if commitment.spent <= channel.sides[commitment.side].spent:
        return channel
    source = {"spent_size": commitment.size, "spent_height": commitment.height}
    return with_side(channel, commitment.side, spent=commitment.spent, **source)


def channel_key_of(draft: Draft, channel: Channel, side: int, number: int, asking: Asking) -> bytes:
    """The side's channel key whose words count in this channel, by rules KEY-5 to KEY-7."""
    return commitment_key(
        channel,
        side,
        hospital_on(draft, channel, side),
        number,
        clock_ms=asking.clock_ms,
        key_window_ms=draft.get_parameters().key_window_ms,
    )


def check_window_open(channel: Channel, asking: Asking) -> None:
    require(asking.clock_ms < channel.closes_at_ms, Fault.WINDOW_OVER, "the window is over")


def is_below_resume(state: SideState, size: int, height: int) -> bool:
    """[RESUME-3] Whether the side's newest posted `resume` voids its commitment of that size and height."""
    return height < state.resume_height and size > state.resume_size


def open_words(court: Court, signed: Signed, clock_ms: int) -> Commitment:
    """The commitment, known to be its side's own, made for this channel, by a key that counts, and not void."""
    side = decode_commitment(signed.body).side  # only to look up the key; believed once its signature opens
    window_ms = court.key_window_ms
    hospital = court.hospitals[side]
    key = commitment_key(court.channel, side, hospital, signed.key, clock_ms=clock_ms, key_window_ms=window_ms)
    commitment = open_commitment(signed, Context(chain=court.chain, channel=court.channel.id), key)
    void = is_below_resume(court.channel.sides[side], commitment.size, commitment.height)
    require(not void, Fault.BELOW_RESUME, f"side {side} signed this before a resume that its peer signed")
    return commitment


def open_shown(draft: Draft, channel: Channel, signed: Signed, asking: Asking) -> Commitment:
    """[CHECKPOINT-2] As `open_words`, out of the state."""
    return open_words(court_of(draft, channel, asking), signed, asking.clock_ms)
