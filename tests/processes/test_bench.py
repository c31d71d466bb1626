"""The bare pipeline runs in its own two processes, and its reader checks what its writer sends."""

import json
import subprocess
import sys
from pathlib import Path


def test_the_floor_measures_what_it_was_asked_for(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "client", "bench", "floor", "--updates", "1000", "--batch", "100", "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["updates"] == 1_000
    assert said["updates_per_s"] > 0
    assert said["machine"]["cpus"] >= 1
    assert not list(tmp_path.iterdir()), "the workplace is removed"
