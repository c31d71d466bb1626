"""What is kept, for how long, and what holds it: read from logs, store and holds whenever a desk asks."""

from l1.ground.faults import LocalError
from l2.desk import words
from l2.node.exchange.holds import RECORD_HOLD, Hold, Holds
from l2.node.hospital import Hospital
from l2.protocol.channel import Channel

__all__ = ["check_hold", "hold_view", "retention_view"]

YEAR_MS = 365.2425 * 86_400_000
TEXT_MAX = 1_000


def retention_view(hospital: Hospital, holds: Holds) -> words.RetentionView:
    """The terms of this hospital, and every hold."""
    years = hospital.config.log_retention_years
    logs = []
    for keeper in hospital.keepers.values():
        channel = keeper.channel
        newest_ms = max(_newest_ms(channel, side) for side in (0, 1))
        entries = sum(head.size for head in channel.heads)
        logs.append(words.LogTerm(channel.id.hex(), entries, round(newest_ms + years * YEAR_MS) if entries else 0))
    return words.RetentionView(
        records=hospital.bodies.records.count(),
        log_years=years,
        logs=tuple(logs),
        holds=tuple(hold_view(hold) for hold in holds.all()),
    )


def _newest_ms(channel: Channel, side: int) -> int:
    """The time of a log's last entry."""
    size = channel.heads[side].size
    return channel.readers[side].entry(size - 1)[0].time if size else 0


def hold_view(hold: Hold) -> words.HoldView:
    return words.HoldView(what=hold.what, name=hold.name, reason=hold.reason, since_ms=hold.since_ms)


def check_hold(hospital: Hospital, wanted: words.HoldWanted) -> None:
    """Raises `LocalError` for a record that is not here, and for texts that no row takes."""
    if max(len(wanted.name), len(wanted.reason)) > TEXT_MAX:
        raise LocalError("a name or a reason is too long", f"Use {TEXT_MAX} letters or fewer.")
    if wanted.what == RECORD_HOLD:
        try:
            found = hospital.bodies.records.find(bytes.fromhex(wanted.name))
        except ValueError:
            found = None
        if found is None:
            raise LocalError(f"there is no record {wanted.name}", "`interward record list` shows what there is.")
