"""Which of a hospital's keys count, and for what. Pure questions to a registry row; nothing is changed here.

Two questions are different on purpose. *May this key act now?* looks at validity and revocation. *Do this key's
commitments count?* does not: a key that expired or was revoked must not let its owner out of what it signed.
Rules KEY-4 to KEY-7 of docs/spec/chain.md.
"""

from l1.ground.faults import Fault, Refused
from l1.rules.state import Channel, Hospital, Key
from l1.rules.transactions import CHANNEL

__all__ = ["commitment_key", "counting_keys", "key_counts"]


def key_counts(hospital: Hospital, number: int, kind: int, clock_ms: int) -> bool:
    """[KEY-4] Whether the key may act now: of that kind, begun, not ended, not revoked."""
    key = hospital.key(number)
    return key is not None and key.kind == kind and _counts(key, clock_ms)


def counting_keys(hospital: Hospital, kind: int, clock_ms: int) -> list[Key]:
    """The keys of a kind that may act now, oldest first."""
    return [key for key in hospital.keys if key.kind == kind and _counts(key, clock_ms)]


def _counts(key: Key, clock_ms: int) -> bool:
    return key.revoked_at_ms is None and key.valid_from_ms <= clock_ms < key.valid_until_ms


def commitment_key(
    channel: Channel, side: int, hospital: Hospital, number: int, *, clock_ms: int, key_window_ms: int
) -> bytes:
    """The channel key whose commitments count in this channel. Raises `Refused` (UNKNOWN_KEY, EXPIRED).

    [KEY-5] Dates of validity are not asked: L1 never judges by a date that a signer declares. [KEY-6] A key counts
    until one key window after a checkpoint here that a later key of its side signed, and then never again. [KEY-7] A
    key that was revoked before the channel opened never counted here.
    """
    assert hospital.id == channel.opening.hospitals[side]
    key = hospital.key(number)
    if key is None or key.kind != CHANNEL:
        raise Refused(Fault.UNKNOWN_KEY, f"key {number} is not a channel key of side {side}")
    if key.revoked_at_ms is not None and key.revoked_at_ms <= channel.opened_at_ms:
        raise Refused(Fault.EXPIRED, f"key {number} of side {side} was revoked before the channel opened")
    state = channel.sides[side]
    if number < state.newest_key and clock_ms > state.newest_key_at_ms + key_window_ms:
        raise Refused(Fault.EXPIRED, f"key {number} of side {side} gave way to key {state.newest_key}")
    return key.key
