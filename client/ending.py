"""How a command ends: what is said of a failure, and the exit status. It knows no command and loads none.

0: done. 1: refused, or a check failed. 2: a mistake in the call, or something missing here. 130: interrupted.
"""

import sys
from typing import NoReturn

import click

from l1.ground.faults import LocalError, Refused, first_of

__all__ = ["JSON_HELP", "CheckFailed", "end_with", "printable"]

JSON_HELP = "Print one JSON object instead of a table."


class CheckFailed(Exception):  # noqa: N818 - a verdict
    """Everything worked, and what was checked does not hold. Exit status 1; the result has been shown."""


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
        from l2.desk.problem import error_of

        sys.stdout.write(error_of(error).decode() + "\n")
    if isinstance(error, Refused):
        sys.stderr.write(f"error: {printable(str(error))}\n")
        return
    sys.stderr.write(f"error: {printable(error.cause)}\n")
    if error.remedy:
        sys.stderr.write(f"remedy: {printable(error.remedy)}\n")
