"""Which of a hospital's keys count, and for what. Pure questions to a registry row; nothing is changed here.

Two questions are different on purpose. *May this key act now?* looks at validity and revocation. *Do this key's
commitments count?* does not: a key that expired or was revoked must not let its owner out of what it signed.
Rules KEY-4 to KEY-7, KEY-14 and KEY-15 of docs/spec/keys.md.
"""

from contextlib import suppress

from l1.ground.faults import Fault, Refused
from l1.rules.state import Channel, Hospital, Key
from l1.rules.transactions import CHANNEL, RECOVERY, ROOT, SEALING

__all__ = [
    "can_end_things",
    "channel_keys_here",
    "commitment_key",
    "counting_keys",
    "gave_way",
    "is_recovering",
    "key_counts",
    "own_channel_keys",
    "sealing_key_at",
]


def key_counts(hospital: Hospital, number: int, kind: int, clock_ms: int) -> bool:
    """[KEY-4] Whether the key may act now: of that kind, begun, not ended, not revoked; a root key not superseded."""
    key = hospital.key(number)
    return key is not None and key.kind == kind and _counts(hospital, key, clock_ms)


def counting_keys(hospital: Hospital, kind: int, clock_ms: int) -> list[Key]:
    """The keys of a kind that may act now, oldest first."""
    return [key for key in hospital.keys if key.kind == kind and _counts(hospital, key, clock_ms)]


def _counts(hospital: Hospital, key: Key, clock_ms: int) -> bool:
    in_force = key.revoked_at_ms is None and key.valid_from_ms <= clock_ms < key.valid_until_ms
    return in_force and not gave_way(hospital, key, clock_ms)


def can_end_things(hospital: Hospital, key: Key, clock_ms: int) -> bool:
    """[CLOSE-3] Begun, not revoked, not given way. It may have expired: what a key began, it can end."""
    begun = key.revoked_at_ms is None and key.valid_from_ms <= clock_ms
    return begun and not gave_way(hospital, key, clock_ms)


def _is_recovered(hospital: Hospital, key: Key) -> bool:
    """Whether it is a root key that a recovery key registered."""
    return key.kind == ROOT and hospital.keys[key.by].kind == RECOVERY


def gave_way(hospital: Hospital, key: Key, clock_ms: int) -> bool:
    """[KEY-14] Whether a later root key, registered by a recovery key, has begun and so ended this root key for good.

    A later revocation of that one changes nothing; a veto while it waited means that it never began.
    """
    return key.kind == ROOT and any(
        later.valid_from_ms <= clock_ms and (later.revoked_at_ms is None or later.revoked_at_ms >= later.valid_from_ms)
        for later in hospital.keys[key.number + 1 :]
        if _is_recovered(hospital, later)
    )


def is_recovering(hospital: Hospital, clock_ms: int) -> bool:
    """[KEY-13] Whether a root key that a recovery key registered waits."""
    return any(
        _is_recovered(hospital, key) and key.revoked_at_ms is None and key.valid_from_ms > clock_ms
        for key in hospital.keys
    )


def sealing_key_at(hospital: Hospital, opened_at_ms: int) -> Key:
    """[KEY-15] The sealing key whose half of the secret a channel that opened then has; the same whenever it is asked.

    Only what was registered, and what had ended, *before* that moment is looked at: a registry row read later tells
    the same of it, and blocks of one and the same chain clock cannot make two answers.
    """
    begun = [key for key in hospital.keys if key.kind == SEALING and key.valid_from_ms < opened_at_ms]
    in_force = [
        key
        for key in begun
        if key.valid_until_ms >= opened_at_ms and (key.revoked_at_ms is None or key.revoked_at_ms >= opened_at_ms)
    ]
    first = next(key for key in hospital.keys if key.kind == SEALING)  # every admission has one
    return (in_force or begun or [first])[-1]


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


def own_channel_keys(hospital: Hospital, opened_at_ms: int, clock_ms: int) -> list[Key]:
    """[ROT-2] The channel keys that a hospital may have signed with in a channel, oldest first, whatever became of them
    since: all that have begun, but for those that never counted there [KEY-7]."""
    return [
        key
        for key in hospital.keys
        if key.kind == CHANNEL
        and key.valid_from_ms <= clock_ms
        and not (key.revoked_at_ms is not None and key.revoked_at_ms <= opened_at_ms)
    ]


def channel_keys_here(
    channel: Channel, side: int, hospital: Hospital, *, clock_ms: int, key_window_ms: int
) -> dict[int, bytes]:
    """By number, every key of a side whose commitments count in this channel (KEY-5 to KEY-7)."""
    found: dict[int, bytes] = {}
    for key in hospital.keys:
        if key.kind == CHANNEL:
            with suppress(Refused):
                found[key.number] = commitment_key(
                    channel, side, hospital, key.number, clock_ms=clock_ms, key_window_ms=key_window_ms
                )
    return found
