"""`interward bench`: measure. One subcommand for each thing that can be measured; `--all` for one after the other."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from client.output import Result, rows_table, verb
from l2.desk.words import WORKERS_MAX

__all__ = ["bench"]

SEED = click.option(
    "--seed", type=int, default=1, show_default=True, help="For generated patients and the order of what they lead to."
)
BATCH = click.option(
    "--batch", type=click.IntRange(1, 4_096), default=1_000, show_default=True, help="Entries in a batch, at most."
)


@click.group(invoke_without_command=True)
@click.option("--all", "everything", is_flag=True, help="Run every instrument, one after the other.")
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True, help="With --all: runs of each rate.")
@click.option("--updates", type=click.IntRange(1), default=500_000, show_default=True, help="With --all: in each run.")
@click.option("--entries", type=click.IntRange(1), default=1_000_000, show_default=True, help="With --all: of the log.")
@click.option("--json", "as_json", is_flag=True, help="With --all: print one JSON object instead of tables.")
@click.pass_context
def bench(context: click.Context, *, everything: bool, runs: int, updates: int, entries: int, as_json: bool) -> None:
    """Measure this machine with real processes: how fast, how late, how large.

    Updates a second are of entries that are decoded, hashed, judged and synced on both sides. `floor` is the bare
    pipeline: what this machine could do without any of the judging and keeping. Close everything else first.
    """
    if context.invoked_subcommand is not None:
        return
    if not everything:
        raise click.UsageError("name what to measure, or say --all")

    context.invoke(suite, updates=updates, runs=runs, entries=entries, as_json=as_json)


async def _in_workplace(job: Callable[..., Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    from client.progress import show_progress
    from client.workplace import open_workplace, unless_told_to_stop

    with open_workplace("interward-bench-") as place, show_progress() as bars:
        found: dict[str, Any] = await unless_told_to_stop(partial(job, place.folder, bars=bars))
    return found


async def _measure(job: Callable[..., Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    from client.bench.machine import machine

    return await _in_workplace(job) | {"machine": machine()}


@verb(bench, "channel")
@click.option("--updates", type=click.IntRange(1), default=500_000, show_default=True, help="How many to measure.")
@BATCH
@click.option("--both", is_flag=True, help="Both hospitals write at once, half of the updates each.")
@click.option("--towers", type=click.IntRange(0, 8), default=0, show_default=True, help="Watch for the receiver.")
@click.option("--floor", "with_floor", is_flag=True, help="Run the bare pipeline first, and give the ratio to it.")
@SEED
async def channel(updates: int, batch: int, seed: int, *, both: bool, with_floor: bool, towers: int) -> Result:
    """Updates a second through one channel: two hospitals, TLS on loopback, fsync on both sides, every entry judged."""
    from client.bench.channel import bench_channel
    from client.bench.floor import bench_floor
    from client.bench.suite import with_ratio

    async def job(folder: Path, *, bars: Any) -> dict[str, Any]:
        run = partial(bench_channel, updates=updates, batch=batch, seed=seed, bars=bars, both=both, towers=towers)
        if not with_floor:
            return await run(folder)
        floor = await bench_floor(folder, updates, batch=batch, seed=seed, bars=bars)
        (folder / "channel").mkdir()
        found = await run(folder / "channel")
        return with_ratio(found, floor["updates_per_s"]) | {"floor_per_s": floor["updates_per_s"]}

    data = await _measure(job)
    rows = [
        ("updates a second", f"{data['updates_per_s']:,}"),
        *([("of the bare pipeline", f"{data['ratio_to_floor']} of {data['floor_per_s']:,}")] if with_floor else []),
        ("latency under this load, ms", _ms(data["latency_ms"])),
        ("a lone update, ms", _ms(data["lone_latency_ms"])),
        ("bytes per update", f"wire {data['bytes_per_update']['wire']}, disk {data['bytes_per_update']['disk']}"),
        ("CPU per update, µs", ", ".join(f"{side} {us}" for side, us in data["cpu_us_per_update"].items())),
        ("batch", data["batch"]),
        ("updates", f"{data['updates']:,}"),
    ]
    return Result(data, rows_table("Channel", ("", "measured"), rows))


@verb(bench, "channels")
@click.option(
    "--channels",
    "counts",
    type=click.IntRange(1),
    multiple=True,
    default=(1, 10, 100),
    show_default=True,
    help="How many channels between the two; may be given several times, each is a run.",
)
@click.option("--updates", type=click.IntRange(1), default=400_000, show_default=True, help="Of all channels together.")
@SEED
async def channels(counts: Sequence[int], updates: int, seed: int) -> Result:
    """Updates a second through many channels of one hospital at once, against those through the first count."""
    from client.bench.channels import bench_channels

    data = await _measure(partial(bench_channels, counts=counts, updates=updates, seed=seed))
    rows = [(row["channels"], f"{row['updates_per_s']:,}", row["ratio"]) for row in data["rows"]]
    return Result(data, rows_table("Channels", ("channels", "updates a second", "ratio"), rows))


@verb(bench, "hub")
@click.option(
    "--workers",
    "counts",
    type=click.IntRange(1, WORKERS_MAX),
    multiple=True,
    default=(1, 2),
    show_default=True,
    help="Processes of the hospital that is measured; may be given several times, each is a run.",
)
@click.option("--channels", type=click.IntRange(1, 256), default=8, show_default=True, help="Between it and its peer.")
@click.option("--updates", type=click.IntRange(1), default=800_000, show_default=True, help="Of all channels together.")
@BATCH
@SEED
async def hub(counts: Sequence[int], channels: int, updates: int, batch: int, seed: int) -> Result:
    """Updates a second that a hospital of several workers takes in, from a peer that sends what it signed before."""
    from client.bench.hub import bench_hub

    run = partial(bench_hub, counts=counts, channels=channels, updates=updates, batch=batch, seed=seed)
    data = await _measure(run)
    rows = [
        (
            row["workers"],
            f"{row['updates_per_s']:,}",
            row["ratio"],
            f"{row['cpu_us_per_update']['hub']} / {row['cpu_us_per_update']['peer']}",
            ", ".join(map(str, row["busy"])),
        )
        for row in data["rows"]
    ]
    columns = ("workers", "updates a second", "ratio", "CPU an update, hub / peer, µs", "cores that each worker used")
    return Result(data, rows_table("Hub", columns, rows))


@verb(bench, "latency")
@click.option(
    "--rate",
    "rates",
    type=click.IntRange(1),
    multiple=True,
    default=(10_000, 50_000),
    show_default=True,
    help="Updates a second; may be given several times.",
)
@click.option("--seconds", type=click.FloatRange(0.1), default=5.0, show_default=True, help="For each rate.")
@SEED
async def latency(rates: Sequence[int], seconds: float, seed: int) -> Result:
    """How late a receipt comes under a load that does not wait: each update counts from when it was due."""
    from client.bench.latency import bench_latency

    data = await _measure(partial(bench_latency, rates=rates, seconds=seconds, seed=seed))
    rows = [(f"{row['rate']:,}", f"{row['reached']:,}", _ms(row["latency_ms"])) for row in data["rows"]]
    return Result(data, rows_table("Latency", ("updates a second", "reached", "ms"), rows))


@verb(bench, "log")
@click.option("--entries", type=click.IntRange(1), default=1_000_000, show_default=True, help="How long the log gets.")
@SEED
async def log(entries: int, seed: int) -> Result:
    """What a long log costs: writing, proofs, checking all of it, a restart, memory and disk."""
    from client.bench.log import bench_log

    data = await _measure(partial(bench_log, entries=entries, seed=seed))
    return Result(data, rows_table("Log", ("", "measured"), _log_rows(data)))


@verb(bench, "chain")
@click.option("--transactions", type=click.IntRange(16), default=10_000, show_default=True, help="How many to measure.")
async def chain(transactions: int) -> Result:
    """Transactions a second through a real chain node, and how long one alone takes."""
    from client.bench.chain import bench_chain

    data = await _measure(partial(bench_chain, transactions=transactions))
    return Result(data, rows_table("Chain", ("", "measured"), _chain_rows(data)))


@verb(bench, "floor")
@click.option("--updates", type=click.IntRange(1), default=500_000, show_default=True, help="How many to measure.")
@BATCH
@SEED
async def floor(updates: int, batch: int, seed: int) -> Result:
    """The bare pipeline: encode, hash, tree, sign, sync, TLS and decode, without the fold. The limit for `channel`."""
    from client.bench.floor import bench_floor

    data = await _measure(partial(bench_floor, updates=updates, batch=batch, seed=seed))
    return Result(data, rows_table("Floor", ("", "measured"), [("updates a second", f"{data['updates_per_s']:,}")]))


@verb(bench, "all", hidden=True)
async def suite(updates: int, runs: int, entries: int) -> Result:
    """Every instrument in turn: `interward bench --all`."""
    from client.bench.suite import bench_all

    data = await _in_workplace(partial(bench_all, updates=updates, runs=runs, entries=entries, seed=1))
    return Result(data, rows_table("Bench", ("", "measured"), _summary(data)))


def _ms(percentiles: dict[str, float]) -> str:
    return ", ".join(f"{name} {value}" for name, value in percentiles.items())


def _log_rows(data: dict[str, Any]) -> list[tuple[str, str]]:
    proof, restart = data["proof"], data["restart"]
    return [
        ("entries", f"{data['entries']:,}"),
        ("append, updates a second, by quarters", ", ".join(f"{row['updates_per_s']:,}" for row in data["append"])),
        ("make a proof (over HTTP), ms", _ms(proof["make_ms"])),
        ("verify it, ms", _ms(proof["verify_ms"])),
        ("its size, bytes", f"inclusion {proof['bytes']['inclusion']:,}, all {proof['bytes']['both_signed']:,}"),
        ("check both logs again, entries a second", f"{data['replay']['entries_per_s']:,}"),
        ("restart, s", f"ready {restart['ready_s']}, writing {restart['writing_s']}"),
        ("anonymous memory, MiB", ", ".join(f"{name} {mib}" for name, mib in data["memory_mib"].items())),
        ("disk, bytes an entry", str(data["disk_bytes_per_entry"])),
    ]


def _chain_rows(data: dict[str, Any]) -> list[tuple[str, str]]:
    settled = data["checkpoint"]
    return [
        ("transactions a second", f"{data['included_per_s']:,}"),
        ("one alone into a verified block, ms", _ms(data["lone_ms"])),
        (f"{settled['channels']:,} channels settled in one transaction", f"{settled['seconds']} s"),
        ("a channel's row with its proof, ms", _ms(settled["proven_row_ms"])),
    ]


def _summary(data: dict[str, Any]) -> list[tuple[str, str]]:
    rates = [("one way", "one_way"), ("one way, batches of 100", "small_batches"), ("both ways", "both_ways")]
    return [
        ("the bare pipeline, updates a second", f"{data['floor']['updates_per_s']:,}"),
        *[
            (f"{name}, updates a second", f"{data[key]['updates_per_s']:,} ({data[key]['ratio_to_floor']} of it)")
            for name, key in rates
        ],
        ("a lone update, ms", _ms(data["one_way"]["lone_latency_ms"])),
        *[(f"{row['channels']} channels", f"{row['updates_per_s']:,}") for row in data["channels"]["rows"]],
        *[(f"a hub of {row['workers']}", f"{row['updates_per_s']:,}") for row in data["hub"]["rows"]],
        *[(f"at {row['rate']:,} a second, ms", _ms(row["latency_ms"])) for row in data["latency"]["rows"]],
        *_log_rows(data["log"]),
        *_record_rows(data["records"]),
        *[(f"chain: {name}", value) for name, value in _chain_rows(data["chain"])],
    ]


@verb(bench, "records")
@click.option(
    "--mib",
    "sizes",
    type=click.IntRange(1, 4_000),
    multiple=True,
    default=(64, 2_048),
    show_default=True,
    help="Size of a long body; may be repeated.",
)
@click.option("--records", type=click.IntRange(1), default=20_480, show_default=True, help="How many of 2 kB.")
async def records(sizes: tuple[int, ...], records: int) -> Result:
    """Record bodies between two hospitals: MB/s of long ones, records a second of short ones, memory; beside the bare
    cipher, the disk, and scp and rsync over the loopback where they are installed."""
    from client.bench.records import bench_records

    data = await _measure(partial(bench_records, sizes_mib=sizes, records=records))
    return Result(data, rows_table("Records", ("", "measured"), _record_rows(data)))


def _record_rows(data: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        (
            f"{body['mib']:,} MiB, {body['at_once']} at once",
            f"fetch {body['fetch_mb_s']:,} MB/s ({body['of_floor']} of the bare cipher),"
            f" grant {body['grant_mb_s']:,} MB/s, memory A {body['peak_mib']['A']}, B {body['peak_mib']['B']} MiB",
        )
        for body in data["bodies"]
    ]
    rows += [(f"records of {data['short']['bytes']:,} bytes", f"{data['short']['records_per_s']:,} a second")]
    rows += [("bare cipher, sealed and opened", f"{data['floor']['pipeline_mb_s']:,} MB/s")]
    rows += [(name, "not here" if rate is None else f"{rate:,} MB/s") for name, rate in data["copies_mb_s"].items()]
    return rows
