"""The page of figures is written from the suite's own words, and only between its marks."""

from pathlib import Path
from typing import Any

import pytest

from client.bench.page import BEGIN, END, plot, write_page
from client.bench.pair import percentile
from client.bench.suite import with_ratio

RATE = {
    "updates_per_s": 200_000,
    "cpu_us_per_update": {"custodian": 3.1, "recipient": 3.2},
    "bytes_per_update": {"wire": 50.0, "disk": 55.0},
    "lone_latency_ms": {"p50": 1.5, "p99": 3.0},
}
SAID: dict[str, Any] = {
    "machine": {
        "cpus": 2,
        "processor": "a processor",
        "memory_gib": 8.0,
        "system": "a system",
        "python": "3.11",
        "openssl": "a library",
        "hashes": "C",
        "interward": "0.1",
        "libraries": {"lmdb": "1"},
    },
    "floor": {"updates_per_s": 400_000},
    **{name: with_ratio(RATE, 400_000) for name in ("one_way", "small_batches", "both_ways")},
    "channels": {"rows": [{"channels": 100, "updates_per_s": 160_000}]},
    "hub": {
        "channels": 8,
        "rows": [{"workers": 2, "updates_per_s": 600_000, "cpu_us_per_update": {"hub": 2.4, "peer": 0.1}}],
    },
    "latency": {"rows": [{"rate": 50_000, "latency_ms": {"p50": 2.0, "p99": 9.0, "p99.9": 11.0}}]},
    "log": {
        "entries": 1_000_000,
        "append": [{"updates_per_s": 199_000}],
        "proof": {
            "make_ms": {"p50": 1.0, "p99": 2.0},
            "verify_ms": {"p50": 0.1, "p99": 0.2},
            "bytes": {"inclusion": 1_100, "both_signed": 1_400},
        },
        "replay": {"entries_per_s": 300_000},
        "restart": {"ready_s": 1.0, "writing_s": 2.0},
        "memory_mib": {"A": 90.0, "B": 91.0},
        "disk_bytes_per_entry": 56.0,
    },
    "chain": {
        "included_per_s": 3_000,
        "lone_ms": {"p50": 60.0, "p99": 65.0},
        "checkpoint": {"channels": 1_000, "seconds": 0.4, "proven_row_ms": {"p50": 3.0, "p99": 6.0}},
    },
}


def test_what_stands_outside_the_marks_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):  # writing twice changes nothing more
        write_page(page, SAID)
        said = page.read_text()
        assert said.startswith("before\n")
        assert said.endswith("\nafter\n")
        assert "\nold\n" not in said
        assert "| one channel, one way, batches of 1,000 | 200,000 | 0.5 | 3.1 / 3.2 | 50.0 / 55.0 |" in said
        assert "| 50,000 a second, open loop | 2.0 | 9.0 | 11.0 |" in said
        assert "| chain: 1,000 channels settled in one transaction, s | 0.4 |" in said
        assert "| a hub of 2, taking in 8 channels | 600,000 |  | 2.4 / 0.1 |  |" in said
        assert "1,100 / 1,400" in said
    assert "160,000" in (tmp_path / "performance.svg").read_text()


def test_a_page_without_marks_is_not_touched(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("words")
    with pytest.raises(AssertionError, match="no place"):
        write_page(page, SAID)
    assert page.read_text() == "words"


def test_bars_are_as_long_as_their_values() -> None:
    drawn = plot([("one", 100), ("two", 50)])
    assert drawn.count("<rect") == 2
    assert 'width="360"' in drawn
    assert 'width="180"' in drawn


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([1.0], 0.999) == 1.0
    assert percentile(list(range(1_000)), 0.99) == 990
