"""The hospital's figures for Prometheus. Channels go by the first eight letters of their ids; no patient shows here."""

from collections.abc import Callable

from l1.serving.figures import Figure, exposition
from l2.node.hospital import Hospital
from l2.node.views import void_count
from l2.protocol.channel import Channel

__all__ = ["figures"]


def figures(hospital: Hospital) -> bytes:
    tip = hospital.reader.tip
    return exposition(
        [
            Figure("interward_hospital_height", "height of the newest verified block", tip.height),
            Figure("interward_hospital_clock_ms", "the chain clock, ms", tip.clock_ms),
            Figure("interward_hospital_started_ms", "start of this process, ms since the epoch", hospital.started_ms),
            Figure("interward_hospital_records", "records in the store", hospital.bodies.records.count()),
            Figure("interward_hospital_commits", "flushes of the channels' journal", hospital.store.commits),
            Figure("interward_hospital_written_back", "syncs of the store behind it", hospital.store.written_back),
            Figure("interward_hospital_line_bytes", "bytes of frames sent over lines", hospital.line_bytes),
            Figure("interward_hospital_listeners", "desks that listen to events", len(hospital.listeners)),
            *_of_channels(hospital),
        ]
    )


def _of_channels(hospital: Hospital) -> list[Figure]:
    kinds: tuple[tuple[str, str, Callable[[Channel], float]], ...] = (
        ("own_entries", "entries of our log", lambda c: c.own.size),
        ("peer_entries", "entries of the peer's log", lambda c: c.peer.size),
        ("acknowledged", "entries of ours that the peer acknowledged", lambda c: c.acknowledged),
        ("queued", "entries that wait to be written", lambda c: c.queued),
        ("connected", "1 while there is a line to the peer", lambda c: c.connected),
        ("phase", "see docs/spec/channel.md", lambda c: c.row.phase),
        ("void_entries", "entries that do not count", void_count),
    )
    channels = {keeper.name: keeper.channel for keeper in hospital.keepers.values()}
    return [
        Figure(f"interward_channel_{name}", about, {key: read(of) for key, of in channels.items()}, label="channel")
        for name, about, read in kinds
    ]
