"""A temporary folder for a job with real processes: removed when it went well, kept and named when it did not."""

import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import trio

from l1.ground.faults import first_of

__all__ = ["Workplace", "open_workplace", "unless_told_to_stop"]

T = TypeVar("T")


async def unless_told_to_stop(job: Callable[[], Awaitable[T]]) -> T:
    """Do the job. SIGINT or SIGTERM cancels it in good order, so that no process is left behind; then it is a
    `KeyboardInterrupt`."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_at, signals, nursery.cancel_scope)
            result = await job()
            nursery.cancel_scope.cancel()
            return result
    raise KeyboardInterrupt


async def _cancel_at(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    await anext(signals)
    scope.cancel()


class Workplace:
    """The folder. Set `keep` to have it kept and named at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keep = False


@contextmanager
def open_workplace(prefix: str) -> Iterator[Workplace]:
    place = Workplace(Path(tempfile.mkdtemp(prefix=prefix)))
    try:
        yield place
    except BaseException as error:
        place.keep = not isinstance(first_of(error), KeyboardInterrupt)
        raise
    finally:
        if place.keep:
            sys.stderr.write(f"data and logs: {place.folder}\n")
        else:
            shutil.rmtree(place.folder)
