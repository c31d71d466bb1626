"""A new epoch: everything still opens, nothing opens under what was before, and no cut does harm."""

from pathlib import Path

import pytest

from l1.ground.faults import LocalError
from l2.node.bodies import Bodies
from tests.unit.l2.node.bodies.test_grants import CHAIN, CHANNEL, carry, keep, offered_of, prepare

OLD, NEW = bytes([1]) * 32, bytes([2]) * 32
LONG = bytes(range(256)) * 8_000


def heads(bodies: Bodies) -> set[bytes]:
    return {bodies.cells.read_head(record.cell) for record in bodies.records.search()}


def test_everything_opens_after_it_and_nothing_as_before(tmp_path: Path) -> None:
    with Bodies(tmp_path / "a", OLD) as bodies, Bodies(tmp_path / "b", bytes(32)) as other:
        contents = [b"one", b"two", LONG]
        records = [bodies.records.add(content, now_ms=1)[0] for content in contents]
        body = prepare(other)
        download = bodies.incoming.begin(CHAIN, CHANNEL, 7, body)
        before = heads(bodies)
        (_, old_key), *_ = bodies.index.ring.keys
        assert bodies.rewrap(NEW) == 4
        assert not before & heads(bodies)
        assert old_key not in [key for _, key in bodies.index.ring.keys]
        assert [bodies.records.open(record.id) for record in records] == contents
        carry(offered_of(other, body), download)
        keep(bodies, body)
    with pytest.raises(LocalError, match="another hospital's key"):
        Bodies(tmp_path / "a", OLD)
    with Bodies(tmp_path / "a", NEW) as bodies:
        assert [bodies.records.open(record.id) for record in records] == contents
        assert not (tmp_path / "a" / "heads.journal").exists()


@pytest.mark.parametrize("cut", ["set_heads", "keep_keys"])
def test_a_cut_in_the_middle_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: str) -> None:
    def torn(given: object, *_: object) -> None:
        if cut == "set_heads":
            for cell, head in given:  # type: ignore[attr-defined]
                with bodies.cells.path(cell.file).open("r+b") as file:
                    file.seek(cell.offset)
                    file.write(head[:40])
        raise OSError("power")

    with Bodies(tmp_path, OLD) as bodies:
        record, _ = bodies.records.add(b"content", now_ms=1)
        with monkeypatch.context() as patched:
            patched.setattr(bodies.cells if cut == "set_heads" else bodies.index, cut, torn)
            with pytest.raises(OSError, match="power"):
                bodies.rewrap(NEW)
    with Bodies(tmp_path, NEW if cut == "set_heads" else OLD) as bodies:
        assert bodies.records.open(record.id) == b"content"
        bodies.rewrap(NEW)
        assert bodies.records.open(record.id) == b"content"
        assert len(bodies.index.ring.keys) == 1
