"""One answer out of the workers' answers: lists are joined, figures are told apart, a status speaks for all. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from l2.desk import key_words, words
from l2.desk.watch_words import TowerView

__all__ = ["join", "join_affected", "join_figures", "join_log", "join_retention", "join_status", "join_towers"]

_raws = msgspec.json.Decoder(list[msgspec.Raw])
_entries = msgspec.json.Decoder(list[Any])


def join(answers: Sequence[bytes]) -> bytes:
    """Lists in JSON, one behind the other."""
    return msgspec.json.encode([item for answer in answers for item in _raws.decode(answer)])


def join_log(answers: Sequence[bytes], most: int) -> bytes:
    """Entries in the order of their times, at most so many: each worker's are in that order already."""
    entries = [entry for answer in answers for entry in _entries.decode(answer)]
    entries.sort(key=lambda entry: (entry["time_ms"], entry["channel"], entry["side"], entry["index"]))
    return msgspec.json.encode(entries[:most])


def join_status(answers: Mapping[int, bytes], workers: Sequence[words.WorkerView]) -> words.Status:
    """`answers` are those of the workers that gave one, at least one, the first one's first if it did."""
    found = [msgspec.json.decode(answer, type=words.Status) for answer in answers.values()]
    first = found[0]
    shown = [_shown(one, is_there=one.number in answers) for one in workers]
    why = {"silent": "does not answer", "starting": "is being started again"}
    waits = [f"worker {one.number} {why[one.state]}: its channels wait" for one in shown if one.state in why]
    return msgspec.structs.replace(
        first,
        height=min(one.height for one in found),
        clock_ms=min(one.clock_ms for one in found),
        channels=sum(one.channels for one in found),
        started_ms=max(one.started_ms for one in found),
        line_bytes=sum(one.line_bytes for one in found),
        warnings=tuple(dict.fromkeys([*waits, *(warning for one in found for warning in one.warnings)])),
        waiting=next((one.waiting for one in found if one.waiting is not None), None),
        resuming=tuple(sentence for one in found for sentence in one.resuming),
        workers=tuple(shown),
    )


def _shown(worker: words.WorkerView, *, is_there: bool) -> words.WorkerView:
    """One that runs and gives no answer was killed a moment ago, or hangs."""
    return worker if is_there or worker.state != "ready" else msgspec.structs.replace(worker, state="silent")


def join_retention(answers: Sequence[bytes]) -> words.RetentionView:
    """Each worker tells of its own logs; records and holds are the hospital's."""
    found = [msgspec.json.decode(answer, type=words.RetentionView) for answer in answers]
    return msgspec.structs.replace(found[0], logs=tuple(log for one in found for log in one.logs))


def join_affected(answers: Sequence[bytes]) -> key_words.Affected:
    """What a lost key touches in all channels."""
    found = [msgspec.json.decode(answer, type=key_words.Affected) for answer in answers]
    channels = [channel for one in found for channel in one.channels]
    return msgspec.structs.replace(
        found[0],
        channels=channels,
        commitments=sum(channel.commitments for channel in channels),
        records=len({record for channel in channels for record in channel.records}),
    )


def join_towers(answers: Sequence[bytes]) -> list[TowerView]:
    """Each worker hands over what its own channels have; a tower's trouble is anybody's."""
    found = [msgspec.json.decode(answer, type=list[TowerView]) for answer in answers]
    by_tower: dict[str, TowerView] = {}
    for view in (view for views in found for view in views):
        known = by_tower.get(view.tower)
        by_tower[view.tower] = (
            view
            if known is None
            else msgspec.structs.replace(
                known,
                channels=known.channels + view.channels,
                behind=known.behind + view.behind,
                trouble=known.trouble or view.trouble,
            )
        )
    return list(by_tower.values())


def join_figures(answers: Mapping[int, bytes]) -> bytes:
    """Figures for Prometheus: those of a worker bear its number, those of a channel are the channel's."""
    about: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for number, answer in answers.items():
        for line in answer.decode().splitlines():
            name = line.split(" ")[2] if line.startswith("# ") else line.partition(" ")[0].partition("{")[0]
            if line.startswith("# "):
                known = about.setdefault(name, [])
                known += [] if line in known else [line]
            elif line:
                samples.setdefault(name, []).append(_told_apart(line, number))
    lines = [line for name, said in about.items() for line in [*said, *samples.get(name, [])]]
    return ("\n".join(lines) + "\n").encode()


def _told_apart(sample: str, number: int) -> str:
    name, _, value = sample.partition(" ")
    return sample if "{" in name else f'{name}{{worker="{number}"}} {value}'
