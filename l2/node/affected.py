"""What a lost key touches: the commitments it signed or could still sign, the records behind them, the keys it brought.

It reads the stored logs and the registry, in a thread where they are long, and changes nothing.
"""

from collections.abc import Callable, Sequence

import trio

from l1.ground.faults import LocalError
from l1.rules import state as l1_state
from l1.rules.keys import channel_keys_here, sealing_key_at
from l1.rules.transactions import CHANNEL, KEY_KINDS, RECOVERY, ROOT, SEALING, TLS
from l2.desk import key_words, words
from l2.node.hospital import Hospital
from l2.node.keeper import Keeper
from l2.node.keys import key_state
from l2.protocol.batch import Salts
from l2.protocol.log import LogReader
from l2.protocol.rows import Rows, batch_key

__all__ = ["affected"]

_NAMES = {number: name for name, number in KEY_KINDS.items()}
_SAYS = {
    ROOT: "could register and end keys, open channels and spend the hospital's credits",
    CHANNEL: "could sign commitments, resumes and closings in these channels; L1 counts them until each `counts_until`",
    TLS: "could answer or dial as this hospital, but prove nothing without a channel key; past lines stay secret",
    SEALING: "opens the secrets of these channels: who is meant by every handle, and private parts of entries",
    RECOVERY: "could veto root keys that wait, and bring one of its own after a window",
}

Grants = Callable[[bytes], Sequence[words.GrantView]]
"""The grants of both sides of a channel."""

Concerns = Callable[[words.GrantView], bool]


async def affected(hospital: Hospital, grants: Grants, number: int, since_ms: int | None) -> key_words.Affected:
    """Raises `LocalError` for a number that was never registered. Since the key began, unless it is said since when."""
    me, clock_ms = hospital.me(), hospital.reader.tip.clock_ms
    key = me.key(number)
    if key is None:
        raise LocalError(f"there is no key {number}", "See `interward hospital keys list`.")
    since = key.valid_from_ms if since_ms is None else since_ms
    found: list[key_words.AffectedChannel] = []
    for keeper in list(hospital.keepers.values()):
        one = await _in_channel(hospital, keeper, me, key, grants, since)
        found += [] if one is None else [one]
    return key_words.Affected(
        number=number,
        kind=_NAMES[key.kind],
        state=key_state(me, key, clock_ms),
        since_ms=since,
        says=_SAYS[key.kind],
        channels=found,
        keys=[other.number for other in me.keys[4:] if other.by == number],
        commitments=sum(one.commitments for one in found),
        records=len({record for one in found for record in one.records}),
    )


async def _in_channel(
    hospital: Hospital, keeper: Keeper, me: l1_state.Hospital, key: l1_state.Key, grants: Grants, since_ms: int
) -> key_words.AffectedChannel | None:
    channel, row = keeper.channel, keeper.channel.l1
    peer = hospital.registry.get(hospital.peer_of(keeper))
    name = "" if peer is None else peer.name
    if row is None or key.kind in (TLS, RECOVERY):
        return None
    if key.kind == CHANNEL:
        span = await trio.to_thread.run_sync(_signed_by, hospital.store.rows(channel.id), channel.side, key.number)
        counts, until_ms = _counts(hospital, row, channel.side, me, key)
        if not span and not counts:
            return None
        inside = range(span[0], span[1] + 1) if span else range(0)
        records, count = _records(grants(channel.id), lambda grant: grant.side == "own" and grant.index in inside)
        return key_words.AffectedChannel(
            channel=channel.id.hex(), peer_name=name, why="signed here" if span else "could sign here",
            commitments=span[2] if span else 0, first=span[0] if span else None, last=span[1] if span else None,
            counts=counts, counts_until_ms=until_ms, records=records, grants=count,
            at_stake=channel.deposits[channel.side] + channel.row.opening.bond if counts else 0,
        )  # fmt: skip
    if key.kind == SEALING and sealing_key_at(me, row.opened_at_ms).number == key.number:
        records, count = _records(grants(channel.id), lambda _: True)
        return key_words.AffectedChannel(
            channel=channel.id.hex(), peer_name=name, why="its secret comes of this key", records=records, grants=count
        )
    opened = key.kind == ROOT and row.opened_at_ms >= max(key.valid_from_ms, since_ms)
    if opened and (key.revoked_at_ms is None or row.opened_at_ms <= key.revoked_at_ms):
        return key_words.AffectedChannel(
            channel=channel.id.hex(), peer_name=name, why="opened while the key counted",
            at_stake=channel.deposits[channel.side] + channel.row.opening.bond,
        )  # fmt: skip
    return None


def _counts(
    hospital: Hospital, row: l1_state.Channel, side: int, me: l1_state.Hospital, key: l1_state.Key
) -> tuple[bool, int | None]:
    """Whether L1 still counts what the key signs in this channel, and until when (KEY-6)."""
    window_ms = hospital.reader.genesis.parameters.key_window_ms
    here = channel_keys_here(row, side, me, clock_ms=hospital.reader.tip.clock_ms, key_window_ms=window_ms)
    if row.phase == l1_state.Phase.SETTLED or key.number not in here:
        return False, None
    later = row.sides[side].newest_key > key.number
    return True, row.sides[side].newest_key_at_ms + window_ms if later else None


def _records(grants: Sequence[words.GrantView], concerns: Concerns) -> tuple[tuple[str, ...], int]:
    """The records behind those of the grants that it concerns, and how many grants these are."""
    found = [grant for grant in grants if concerns(grant)]
    return tuple(sorted({grant.record for grant in found if grant.record is not None})), len(found)


def _signed_by(rows: Rows, side: int, key: int) -> tuple[int, int, int] | None:
    """First and last entry of our log under commitments by this key, and how many of these there are."""
    reader, at, count = LogReader(rows, side, Salts(bytes(32), side)), 0, 0
    first = last = -1
    while rows.get(batch_key(side, at)) is not None:
        batch = reader.message(at)
        after = at + batch.size
        if batch.commitment.key == key:
            first, last, count = (at if first < 0 else first), after - 1, count + 1
        at = after
    return (first, last, count) if count else None
