"""Processes that keep records together: numbers are given once, and nobody tidies away what another is writing."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from l2.node.bodies import Bodies

KEK = bytes(32)
LINES = 40
WRITER = """
import sys
from pathlib import Path
from l2.node.bodies import Bodies
bodies = Bodies(Path(sys.argv[1]), bytes(32), is_shared=True)
rows = bodies.index.table("openings")
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    rows.grow(lambda number, before: b"%d after %s" % (number, before or b"nothing"))
bodies.close()
"""


def test_rows_that_are_numbered_are_numbered_once_by_processes_at_one_time(tmp_path: Path) -> None:
    with Bodies(tmp_path, KEK) as alone:
        rows = alone.index.table("openings")
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(tmp_path), str(LINES)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            writer.communicate("go\n", timeout=60)
            assert writer.returncode == 0
        found = [row for _, row in rows.scan()]
        assert len(found) == 2 * LINES
        assert found[0] == b"0 after nothing"
        assert all(row == b"%d after %s" % (number, before) for number, (before, row) in _numbered(found))


def _numbered(rows: list[bytes]) -> list[tuple[int, tuple[bytes, bytes]]]:
    return list(enumerate(pairwise(rows), 1))


def test_who_shares_the_folder_leaves_alone_what_is_half_written(tmp_path: Path) -> None:
    with Bodies(tmp_path, KEK) as alone:
        half = tmp_path / "records" / "00.part"
        orphan = tmp_path / "records" / bytes(16).hex()
        half.touch()
        orphan.touch()
        with Bodies(tmp_path / "other", KEK):
            pass
        shared = subprocess.run(
            [sys.executable, "-c", WRITER, str(tmp_path), "1"],
            input="go\n",
            text=True,
            capture_output=True,
            check=False,
        )
        assert shared.returncode == 0, shared.stderr
        assert half.exists()
        assert orphan.exists()
        alone.close(is_clean=False)
    with Bodies(tmp_path, KEK):
        assert not half.exists()
        assert not orphan.exists()


def test_what_all_ended_well_in_is_not_searched_again(tmp_path: Path) -> None:
    Bodies(tmp_path, KEK).close()
    with Bodies(tmp_path, KEK) as again:
        assert again.index.was_clean
        again.close(is_clean=False)
    with Bodies(tmp_path, KEK) as after:
        assert not after.index.was_clean
