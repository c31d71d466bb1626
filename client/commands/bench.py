"""`interward bench`: measure. One subcommand for each thing that can be measured."""

from functools import partial

import click

from client.output import Result, rows_table, verb

__all__ = ["bench"]


@click.group()
def bench() -> None:
    """Measure this machine with real processes."""


@verb(bench, "channel")
@click.option("--updates", type=click.IntRange(1), default=500_000, show_default=True, help="How many to measure.")
@click.option("--batch", type=click.IntRange(1, 4_096), default=1_000, show_default=True, help="Entries in a batch.")
@click.option("--seed", type=int, default=1, show_default=True, help="For generated patients and their order.")
async def channel(updates: int, batch: int, seed: int) -> Result:
    """Updates a second through one channel: two hospitals, TLS on loopback, fsync on both sides, every entry judged."""
    from client.bench.channel import bench_channel
    from client.progress import show_progress
    from client.workplace import open_workplace, unless_told_to_stop

    with open_workplace("interward-bench-") as place, show_progress() as bars:
        job = partial(bench_channel, place.folder, updates, batch=batch, seed=seed, bars=bars)
        data = await unless_told_to_stop(job)
    rows = [
        ("updates a second", f"{data['updates_per_s']:,}"),
        ("latency under this load, ms", f"p50 {data['latency_ms']['p50']}, p99 {data['latency_ms']['p99']}"),
        ("a lone update, ms", f"p50 {data['lone_latency_ms']['p50']}, p99 {data['lone_latency_ms']['p99']}"),
        ("bytes per update", f"wire {data['bytes_per_update']['wire']}, disk {data['bytes_per_update']['disk']}"),
        ("CPU per update, µs", ", ".join(f"{side} {us}" for side, us in data["cpu_us_per_update"].items())),
        ("batch", data["batch"]),
        ("updates", f"{data['updates']:,}"),
    ]
    return Result(data, rows_table("Channel", ("", "measured"), rows))
