"""Progress bars on standard error, so that standard output stays for results. Knows rich, nothing of the work."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

__all__ = ["Advance", "Bars", "show_progress"]


class Advance(Protocol):
    def __call__(self, steps: int = 1) -> None: ...


class Bars:
    """The bars of one long job; each scene gets its own line."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @contextmanager
    def stage(self, title: str, total: int = 1) -> Iterator[Advance]:
        """A bar that is full when the block is left without an error. The block calls what it gets to advance it."""
        task = self._progress.add_task(title, total=max(1, total))

        def advance(steps: int = 1) -> None:
            self._progress.advance(task, steps)

        yield advance
        self._progress.update(task, completed=max(1, total))


@contextmanager
def show_progress(*, fleeting: bool = False) -> Iterator[Bars]:
    """`fleeting` bars go away when the work is done, and show on a terminal only."""
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=fleeting, disable=fleeting and not console.is_terminal
    ) as progress:
        yield Bars(progress)
