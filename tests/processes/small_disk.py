"""A file system of a few MiB for one node's folder: a tmpfs in a mount namespace of its own, that nobody else sees.

`SmallDisk` keeps the namespace; `python -m tests.processes.small_disk PID MODULE ARGUMENTS` runs a module in it. The
test reaches the folder through /proc. With the keeper's process everything is gone. Source: namespaces(7), setns(2).
"""

import ctypes
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["SmallDisk", "small_disk"]

CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x00020000
FILLER = "filler"
CHUNK_BYTES = 64 * 1024


class SmallDisk:
    """Made by `small_disk`. `folder` is where everybody in the namespace finds it."""

    def __init__(self, keeper: subprocess.Popen[bytes], folder: Path) -> None:
        self._keeper, self.folder = keeper, folder
        self.outside = Path(f"/proc/{keeper.pid}/root{folder}")  # where we find it

    def runs(self, *arguments: str) -> list[str]:
        """The arguments that run a module there."""
        return ["tests.processes.small_disk", str(self._keeper.pid), *arguments]

    def fill(self, leave_bytes: int) -> None:
        """Take the room of the file system but for so much."""
        with (self.outside / FILLER).open("ab", buffering=0) as file, suppress(OSError):
            while (free := shutil.disk_usage(self.outside).free - leave_bytes) > 0:
                file.write(bytes(min(free, CHUNK_BYTES)))

    def make_room(self) -> None:
        (self.outside / FILLER).unlink()


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[SmallDisk | None]:
    """What is in the folder, moved to a file system of that size; None where the machine allows no such mount."""
    aside = folder.with_name(f"{folder.name}-aside")
    shutil.copytree(folder, aside)
    script = 'mount -t tmpfs -o size="$1"m small "$2" && cp -a "$3"/. "$2" && echo ready && exec cat'
    keeper = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(mebibytes), folder, aside],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    try:
        yield SmallDisk(keeper, folder) if keeper.stdout.readline() == b"ready\n" else None
    finally:
        keeper.stdin.close()
        keeper.stdout.close()
        keeper.wait()


def enter(pid: int) -> None:
    """Join the namespaces of a process. Raises `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    for name, kind in (("user", CLONE_NEWUSER), ("mnt", CLONE_NEWNS)):
        with open(f"/proc/{pid}/ns/{name}") as namespace:
            if libc.setns(namespace.fileno(), kind):
                raise OSError(ctypes.get_errno(), f"cannot enter the {name} namespace of {pid}")


def main() -> None:
    here = Path.cwd()
    enter(int(sys.argv[1]))
    os.chdir(here)
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
