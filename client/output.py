"""What a command says and how it ends: tables for people, one JSON object for programs, and the exit status.

0: done. 1: refused, or a check failed. 2: a mistake in the call, or something missing here. 130: interrupted.
"""

import functools
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

import click
import msgspec
import trio
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from l1.ground.faults import LocalError, Refused
from l1.serving import first_of
from l2.desk import error_of

__all__ = [
    "ROWS_MAX",
    "CheckFailed",
    "Result",
    "end_with",
    "facts_table",
    "printable",
    "rows_table",
    "verb",
    "wants_json",
]

ROWS_MAX = 40  # a longer list is told in figures; `--json` tells all
JSON_HELP = "Print one JSON object instead of a table."


class CheckFailed(Exception):  # noqa: N818 - a verdict
    """Everything worked, and what was checked does not hold. Exit status 1; the result has been shown."""


class Result:
    """What a command found: `data` for programs; a table, text or nothing for people. `ok` False: exit status 1."""

    def __init__(self, data: Any, shown: Table | Group | str, *, ok: bool = True) -> None:
        self.data = data
        self.shown = shown
        self.ok = ok


def wants_json(context: click.Context) -> bool:
    """Whether `--json` stands anywhere before or after the command."""
    here: click.Context | None = context
    while here is not None:
        if here.params.get("as_json"):
            return True
        here = here.parent
    return False


def verb(group: click.Group, name: str, **settings: Any) -> Callable[[Callable[..., Awaitable[Result]]], click.Command]:
    """A command of a noun: an async function that gives a `Result`, with `--json` like all of them."""

    def decorate(ask: Callable[..., Awaitable[Result]]) -> click.Command:
        @functools.wraps(ask)
        def run(*, as_json: bool, **arguments: Any) -> None:  # noqa: ARG001 - `wants_json` reads it
            result = trio.run(functools.partial(ask, **arguments))
            _show(result, as_json=wants_json(click.get_current_context()))
            if not result.ok:
                raise CheckFailed

        parameters = getattr(ask, "__click_params__", [])
        made = click.Command(name, callback=run, params=list(reversed(parameters)), help=ask.__doc__, **settings)
        made.params.append(click.Option(["--json", "as_json"], is_flag=True, help=JSON_HELP))
        group.add_command(made)
        return made

    return decorate


def _show(result: Result, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(result.data)) + "\n")
    elif not result.shown:
        return
    elif isinstance(result.shown, str):
        sys.stdout.write(result.shown.rstrip("\n") + "\n")
    else:
        console = Console()
        with console.capture() as printed:
            console.print(result.shown)
        sys.stdout.write("".join(f"{line.rstrip()}\n" for line in printed.get().splitlines()))


def rows_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table | str:
    """A plain table; for no rows, a sentence that says so. The first column, which names the row, is never broken."""
    if not rows:
        return f"{title}: none."
    table = _plain_table(title)
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=not number)
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


def facts_table(title: str, facts: Sequence[tuple[str, object]]) -> Table:
    """Facts about one thing, a line for each; those that are None or empty have nothing to say."""
    table = _plain_table(title, show_header=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for label, value in facts:
        if value not in (None, ""):
            table.add_row(label, _cell(value))
    return table


def _plain_table(title: str, *, show_header: bool = True) -> Table:
    """Columns two spaces apart, so that ids and words fit into 80 columns."""
    look: dict[str, Any] = {"box": SIMPLE_HEAD, "show_edge": False, "pad_edge": False, "padding": (0, 1, 0, 0)}
    return Table(title=escape(printable(title)), title_justify="left", show_header=show_header, **look)


def _cell(value: object) -> str:
    return escape(printable("" if value is None else str(value)))


def printable(text: str) -> str:
    """The text without what could steer a terminal: names and titles come from anybody."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def end_with(error: BaseException, *, as_json: bool) -> NoReturn:
    """Say what was wrong, and end with the status that stands for it. Our own bugs keep their traceback."""
    error = first_of(error)
    match error:
        case CheckFailed():
            sys.exit(1)
        case click.exceptions.Exit():
            sys.exit(error.exit_code)
        case click.ClickException():
            error.show()
            sys.exit(2)
        case KeyboardInterrupt() | click.Abort():
            sys.stderr.write("interrupted\n")
            sys.exit(130)
        case Refused() | LocalError():
            _complain(error, as_json=as_json)
            sys.exit(1 if isinstance(error, Refused) else 2)
    raise error


def _complain(error: Refused | LocalError, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(error_of(error).decode() + "\n")
    if isinstance(error, Refused):
        sys.stderr.write(f"error: {printable(str(error))}\n")
        return
    sys.stderr.write(f"error: {printable(error.cause)}\n")
    if error.remedy:
        sys.stderr.write(f"remedy: {printable(error.remedy)}\n")
