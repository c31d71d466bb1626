"""What a node's process does however it is called: ask for the password, log, hold its folder."""

import fcntl
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getpass
from pathlib import Path

import structlog

from l1.ground.faults import LocalError

__all__ = ["PASSWORD", "ask_password", "hold_lock", "log_to_stderr"]

PASSWORD = "INTERWARD_PASSWORD"


def ask_password(variable: str = PASSWORD, what: str = "password") -> str:
    """From the environment, or asked for on a terminal."""
    found = os.environ.get(variable)
    if found is None and sys.stdin.isatty():
        found = getpass(f"{what}: ".capitalize())
    if not found:
        raise LocalError(f"there is no {what}", f"Set {variable}, or start on a terminal")
    return found


def log_to_stderr() -> None:
    """One JSON object a line, on standard error; standard output is for answers.

    What libraries warn of is not said: a reader of DICOM may quote what it found, and no name belongs in a log.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger("pydicom").propagate = False
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@contextmanager
def hold_lock(folder: Path, name: str = "lock") -> Iterator[int]:
    """The folder, or what the name stands for in it, for this process alone. Gives the lock's descriptor: a child
    that inherits it has the lock too. Raises `LocalError` while another process has it."""
    file = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalError(f"another process runs on {folder}", "Stop it first, or use another folder") from None
        yield file
    finally:
        os.close(file)
