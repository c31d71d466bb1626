"""One answer out of several: nothing is lost, nothing is told twice, and what is away is said to be."""

import json
from typing import Any

import msgspec

from l2.desk import key_words, words
from l2.desk.watch_words import TowerView
from l2.node.hub.merging import (
    join,
    join_affected,
    join_figures,
    join_log,
    join_retention,
    join_status,
    join_towers,
)

encode = msgspec.json.encode


def status(**changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "hospital": "ab",
        "name": "Hub",
        "chain": "cd",
        "height": 10,
        "clock_ms": 1_000,
        "endpoint": "here:1",
        "url": "http://here",
        "channels": 3,
        "records": 7,
        "started_ms": 5,
        "warnings": ("rotate a key",),
        "line_bytes": 100,
    }
    return encode(words.Status(**fields | changes))


def worker(number: int, state: Any = "ready") -> words.WorkerView:
    return words.WorkerView(number=number, pid=100 + number, state=state, since_ms=1, restarts=0)


def test_a_status_speaks_for_all_workers() -> None:
    answers = {0: status(), 1: status(channels=2, height=9, started_ms=6, resuming=("channel x waits",))}
    joined = join_status(answers, [worker(0), worker(1)])
    assert (joined.channels, joined.records, joined.height, joined.line_bytes) == (5, 7, 9, 200)
    assert (joined.started_ms, joined.resuming) == (6, ("channel x waits",))
    assert joined.warnings == ("rotate a key",)
    assert [one.number for one in joined.workers] == [0, 1]


def test_a_status_says_which_worker_is_away_whatever_was_known_a_moment_ago() -> None:
    joined = join_status({1: status()}, [worker(0), worker(1), worker(2, "starting")])
    assert [one.state for one in joined.workers] == ["silent", "ready", "starting"]
    assert joined.warnings[0].startswith("worker 0 does not answer")
    assert joined.warnings[1].startswith("worker 2 is being started again")


def test_lists_are_joined_as_they_are() -> None:
    assert json.loads(join([b'[{"a": 1.50}]', b"[]", b'[{"b": "\\u00fc"}]'])) == [{"a": 1.5}, {"b": "ü"}]


def test_entries_come_in_the_order_of_their_times() -> None:
    def entry(time_ms: int, channel: str, index: int = 0) -> dict[str, Any]:
        return {"time_ms": time_ms, "channel": channel, "side": "own", "index": index}

    found = join_log([encode([entry(1, "a"), entry(5, "a")]), encode([entry(1, "b"), entry(3, "b")])], 3)
    assert [(one["time_ms"], one["channel"]) for one in json.loads(found)] == [(1, "a"), (1, "b"), (3, "b")]


def test_logs_are_each_workers_records_and_holds_the_hospitals() -> None:
    def view(channel: str) -> bytes:
        log = words.LogTerm(channel=channel, entries=1, keep_until_ms=9)
        return encode(words.RetentionView(records=4, log_years=6.0, logs=(log,), holds=()))

    joined = join_retention([view("aa"), view("bb")])
    assert (joined.records, [log.channel for log in joined.logs]) == (4, ["aa", "bb"])


def test_a_lost_key_touches_channels_of_all_workers_and_each_record_once() -> None:
    def affected(channel: str, *records: str) -> bytes:
        one = key_words.AffectedChannel(
            channel=channel, peer_name="B", why="signed here", commitments=2, records=records
        )
        return encode(
            key_words.Affected(
                number=1,
                kind="channel",
                state="counts",
                since_ms=0,
                says="",
                channels=[one],
                keys=[],
                commitments=2,
                records=len(records),
            )
        )

    joined = join_affected([affected("aa", "01", "02"), affected("bb", "02")])
    assert ([one.channel for one in joined.channels], joined.commitments, joined.records) == (["aa", "bb"], 4, 2)


def test_a_tower_holds_what_each_worker_handed_over_and_anybodys_trouble_shows() -> None:
    def view(channels: int, behind: int, trouble: str) -> bytes:
        one = TowerView(
            tower="aa",
            url="u",
            reward_per_mille=1,
            since_ms=1,
            channels=channels,
            behind=behind,
            trouble=trouble,
        )
        return encode([one])

    (joined,) = join_towers([view(2, 0, ""), view(3, 1, "it is away")])
    assert (joined.channels, joined.behind, joined.trouble) == (5, 1, "it is away")


def test_figures_of_a_worker_bear_its_number_and_each_is_described_once() -> None:
    first = b'# HELP a_height height\n# TYPE a_height gauge\na_height 3.0\n# HELP c size\nc{channel="x"} 1.0\n'
    second = b'# HELP a_height height\n# TYPE a_height gauge\na_height 4.0\n# HELP c size\nc{channel="y"} 2.0\n'
    assert join_figures({0: first, 1: second}).decode().splitlines() == [
        "# HELP a_height height",
        "# TYPE a_height gauge",
        'a_height{worker="0"} 3.0',
        'a_height{worker="1"} 4.0',
        "# HELP c size",
        'c{channel="x"} 1.0',
        'c{channel="y"} 2.0',
    ]
