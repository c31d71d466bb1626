"""Tables as a terminal shows them. Knows rich, and nothing of what the tables say."""

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Drawing

from client.ending import printable
from client.output import Shown, Table

__all__ = ["drawn"]

LOOK: dict[str, Any] = {"box": SIMPLE_HEAD, "show_edge": False, "pad_edge": False, "padding": (0, 1, 0, 0)}
"""Columns two spaces apart, so that ids and words fit into 80 columns."""


def drawn(shown: Sequence[Shown]) -> str:
    """The text of tables and sentences, one under the other, as wide as the terminal."""
    console = Console()
    with console.capture() as printed:
        for one in shown:
            console.print(_drawing(one) if isinstance(one, Table) else escape(one))
    return "".join(f"{line.rstrip()}\n" for line in printed.get().splitlines())


def _drawing(table: Table) -> Drawing:
    title = escape(printable(table.title))
    drawing = Drawing(title=title, title_justify="left", show_header=bool(table.columns), **LOOK)
    if table.columns:
        for number, column in enumerate(table.columns):
            drawing.add_column(column, overflow="fold", no_wrap=not number)
    else:
        drawing.add_column(no_wrap=True, style="dim")
        drawing.add_column(overflow="fold")
    for row in table.rows:
        drawing.add_row(*map(escape, row))
    return drawing
