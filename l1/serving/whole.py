"""Whether an LMDB file is whole. What LMDB itself would not notice, or would end the process by a signal for, unheard.

LMDB maps the file: a page that lies past its end cannot be read at all (SIGBUS), and a damaged page can lead anywhere.
So the pages are walked before the file is opened (`pages`), and free pages that were never written are put back as
zeros, so that the file is as long as its own header says.
"""

import errno
import os
from pathlib import Path

from l1.ground.faults import LocalError, Refused
from l1.serving.pages import PAGE_BYTES, check_pages

_OF_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)

__all__ = ["check_whole", "is_of_disk"]


def is_of_disk(error: BaseException) -> bool:
    """Whether a disk did not take, or give, what it should: full, over a quota, failing, or mounted for reading."""
    return isinstance(error, OSError) and error.errno in _OF_DISK


def check_whole(path: Path, remedy: str) -> None:
    """Call before opening the file. Raises `LocalError` for one that was cut or damaged; none at all is whole."""
    try:
        last_page = check_pages(path)
    except Refused as refused:
        raise LocalError(f"{path} is damaged ({refused.detail})", remedy) from None
    if last_page is not None and path.stat().st_size < (expected := (last_page + 1) * PAGE_BYTES):
        os.truncate(path, expected)
