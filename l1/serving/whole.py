"""Whether an LMDB file is as long as its own header says. A shorter one would end the process by a signal, unheard.

LMDB maps the file; a page that lies past its end cannot be read at all (SIGBUS). So the length is checked, and a few
missing pages are put back as zeros, which LMDB refuses by name when it reads them.
"""

import os
from pathlib import Path
from typing import Any

from l1.ground.faults import LocalError

__all__ = ["check_whole"]

UNWRITTEN_PAGES_MAX = 256  # pages that a transaction took and gave back at the file's end are never written


def check_whole(environment: Any, path: Path, remedy: str) -> None:
    """Call between opening the environment and reading any of it. Raises `LocalError` for a file that was cut."""
    page_bytes = environment.stat()["psize"]
    expected, found = (environment.info()["last_pgno"] + 1) * page_bytes, path.stat().st_size
    if expected - found > UNWRITTEN_PAGES_MAX * page_bytes:
        environment.close()
        raise LocalError(f"{path} was cut: {found:,} of {expected:,} bytes are there", remedy)
    if found < expected:
        os.truncate(path, expected)
