"""What a command says: tables for people, one JSON object for programs. How it ends is told by `client.ending`.

A table is a value here; `client.tables` draws it, and is loaded only when there is one to draw.
"""

import functools
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import click
import msgspec
import trio

from client.ending import JSON_HELP, CheckFailed, printable

__all__ = ["ROWS_MAX", "Result", "Shown", "Table", "facts_table", "rows_table", "verb", "wants_json"]

ROWS_MAX = 40  # a longer list is told in figures; `--json` tells all


class Table(NamedTuple):
    """Cells under the heads of their columns; without heads, facts: a label and what it says."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


Shown = str | Table
"""A sentence, or a table."""


class Result:
    """What a command found: `data` for programs; tables, text or nothing for people. `ok` False: exit status 1."""

    def __init__(self, data: Any, *shown: Shown, ok: bool = True) -> None:
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
    elif any(isinstance(one, Table) for one in result.shown):
        from client.tables import drawn

        sys.stdout.write(drawn(result.shown))
    else:
        sys.stdout.writelines(one.rstrip("\n") + "\n" for one in result.shown if isinstance(one, str) and one)


def rows_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Shown:
    """A plain table; for no rows, a sentence that says so. The first column, which names the row, is never broken."""
    if not rows:
        return f"{title}: none."
    return Table(title, columns, [[_cell(value) for value in row] for row in rows])


def facts_table(title: str, facts: Sequence[tuple[str, object]]) -> Table:
    """Facts about one thing, a line for each; those that are None or empty have nothing to say."""
    return Table(title, (), [(label, _cell(value)) for label, value in facts if value not in (None, "")])


def _cell(value: object) -> str:
    return printable("" if value is None else str(value))
