"""Writes the tables and the plot of docs/explanation/performance.md from the JSON of `interward bench --all`.

`python -m client.bench.page PAGE.md < bench.json`: what stands between the page's two marks is replaced, and a plot is
put beside the page.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["plot", "tables", "write_page"]

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
PLOT = "performance.svg"
RATES = (
    ("floor", "the bare pipeline"),
    ("one_way", "one channel, one way, batches of 1,000"),
    ("small_batches", "one channel, one way, batches of 100"),
    ("both_ways", "one channel, both ways at once"),
)
_BAR, _LABEL, _WIDE = 22, 290, 360  # pixels


def write_page(page: Path, data: dict[str, Any]) -> None:
    """Replace what was measured before. A page without the marks is our own mistake."""
    head, _, rest = page.read_text().partition(BEGIN)
    _, found, tail = rest.partition(END)
    assert found, f"{page} has no place for tables"
    page.write_text(f"{head}{BEGIN}\n\n{tables(data)}\n\n![updates a second]({PLOT})\n\n{END}{tail}")
    page.with_name(PLOT).write_text(plot(_rates(data)))


def _rates(data: dict[str, Any]) -> list[tuple[str, int]]:
    single = [(name, data[key]["updates_per_s"]) for key, name in RATES]
    return single + [(f"{row['channels']} channels, one way", row["updates_per_s"]) for row in data["channels"]["rows"]]


def tables(data: dict[str, Any]) -> str:
    """The page's tables, in Markdown."""
    return "\n\n".join((_machine(data["machine"]), _rate_table(data), _latency_table(data), _log_table(data)))


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _machine(machine: dict[str, Any]) -> str:
    libraries = ", ".join(f"{name} {number}" for name, number in machine["libraries"].items())
    return (
        f"{machine['cpus']} processors: {machine['processor']}, {machine['memory_gib']} GiB; {machine['system']}, "
        f"Python {machine['python']}, {machine['openssl']}, {libraries}, "
        f"hashes in {machine['hashes']}; Interward {machine['interward']}."
    )


def _rate_table(data: dict[str, Any]) -> str:
    rows: list[Sequence[object]] = []
    for key, name in RATES:
        one = data[key]
        cpu = one.get("cpu_us_per_update", {})
        of_each = " / ".join(str(us) for us in cpu.values())
        size = " / ".join(str(count) for count in one.get("bytes_per_update", {}).values())
        rows.append((name, f"{one['updates_per_s']:,}", one.get("ratio_to_floor", ""), of_each, size))
    rows += [
        (f"{row['channels']} channels, one way", f"{row['updates_per_s']:,}", "", "", "")
        for row in data["channels"]["rows"]
    ]
    rows += [
        (
            f"a hub of {row['workers']}, taking in {data['hub']['channels']} channels",
            f"{row['updates_per_s']:,}",
            "",
            f"{row['cpu_us_per_update']['hub']} / {row['cpu_us_per_update']['peer']}",
            "",
        )
        for row in data["hub"]["rows"]
    ]
    return _table(("", "updates a second", "of the bare pipeline", "CPU µs, A / B", "bytes, wire / disk"), rows)


def _latency_table(data: dict[str, Any]) -> str:
    lone = data["one_way"]["lone_latency_ms"]
    rows: list[Sequence[object]] = [("one at a time", lone["p50"], lone["p99"], "")]
    rows += [
        (f"{row['rate']:,} a second, open loop", *(row["latency_ms"][name] for name in ("p50", "p99", "p99.9")))
        for row in data["latency"]["rows"]
    ]
    return _table(("append to durable receipt, ms", "p50", "p99", "p99.9"), rows)


def _log_table(data: dict[str, Any]) -> str:
    log, proof, chain = data["log"], data["log"]["proof"], data["chain"]
    append = ", ".join(f"{row['updates_per_s']:,}" for row in log["append"])
    memory = ", ".join(f"{name} {mib}" for name, mib in log["memory_mib"].items())
    settled = chain["checkpoint"]
    rows = [
        ("append, updates a second, in each quarter of the way", append),
        ("make a proof, over HTTP, p50 / p99, ms", _pair(proof["make_ms"])),
        ("verify one, p50 / p99, ms", _pair(proof["verify_ms"])),
        ("a proof of inclusion / with both signatures and the chain's head, bytes", _sizes(proof)),
        ("read, hash and fold both logs again, entries a second", f"{log['replay']['entries_per_s']:,}"),
        ("restart: ready / writing, s", f"{log['restart']['ready_s']} / {log['restart']['writing_s']}"),
        ("anonymous memory, MiB", memory),
        ("disk, bytes an entry", log["disk_bytes_per_entry"]),
        ("chain: transfers a second, by hundreds", f"{chain['included_per_s']:,}"),
        ("chain: one transfer into a verified block, p50 / p99, ms", _pair(chain["lone_ms"])),
        (f"chain: {settled['channels']:,} channels settled in one transaction, s", settled["seconds"]),
        ("chain: a channel's row with its proof, p50 / p99, ms", _pair(settled["proven_row_ms"])),
    ]
    return _table((f"a log of {log['entries']:,} entries, and the chain", ""), rows)


def _pair(ms: dict[str, float]) -> str:
    return f"{ms['p50']} / {ms['p99']}"


def _sizes(proof: dict[str, Any]) -> str:
    return " / ".join(f"{size:,}" for size in proof["bytes"].values())


def plot(bars: Sequence[tuple[str, int]]) -> str:
    """A bar for each rate, as SVG."""
    most = max(value for _, value in bars)
    width, height = _LABEL + _WIDE + 90, _BAR * len(bars) + 10
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">']
    for number, (name, value) in enumerate(bars):
        top, long = 5 + number * _BAR, round(_WIDE * value / most)
        parts += [
            f'<text x="{_LABEL - 8}" y="{top + 14}" font-size="12" text-anchor="end">{name}</text>',
            f'<rect x="{_LABEL}" y="{top + 2}" width="{long}" height="{_BAR - 6}" fill="#2a6f97"/>',
            f'<text x="{_LABEL + long + 6}" y="{top + 14}" font-size="12">{value:,}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    write_page(Path(sys.argv[1]), json.load(sys.stdin))
