"""The generated pages of docs/reference: faults, limits, commands, HTTP APIs. `make docs` writes them, a test compares.

What stands in code is not written twice: names, numbers and reasons are read from it.
"""

import ast
import importlib
import re
from collections.abc import Callable, Iterator

import click

from client.later import loaded
from l1.node import api as chain
from l1.serving.openapi import reference_page
from l2.node.api import openapi as hospital_openapi
from l2.node.api.endpoints import ENDPOINTS as HOSPITAL_ENDPOINTS
from l2.tower import api as tower
from tests.architecture.sources import ROOT

__all__ = ["FOLDER", "PAGES", "write"]

FOLDER = ROOT / "docs" / "reference"
LIMITS = (
    "l1/ground/limits.py",
    "l1/rules/log/limits.py",
    "l1/serving/limits.py",
    "l2/protocol/limits.py",
    "l2/records/limits.py",
    "l2/link/line.py",
    "l2/link/hints.py",
)


def faults() -> str:
    """Every fault with its number and meaning, in its sections."""
    lines = [
        "# Faults",
        "",
        "Why something was refused. The number stands on the wire, in the APIs and in receipts; none is ever given",
        "to another meaning.",
        "Written from `l1/ground/faults.py` by `make docs`.",
    ]
    text = (ROOT / "l1/ground/faults.py").read_text()
    for line in text[text.index("class Fault(") : text.index("class Refused(")].splitlines():
        if section := re.match(r"    # (\d+-\d+): (.+)", line):
            lines += ["", f"## {section[1]}: {section[2]}", "", "| number | fault | meaning |", "| --- | --- | --- |"]
        elif member := re.match(r"    ([A-Z_]+) = (\d+)", line):
            lines.append(f"| {member[2]} | {member[1].lower().replace('_', ' ')} | {_reason(line)} |")
    return "\n".join(lines) + "\n"


def _reason(line: str) -> str:
    """The comment at the end of a line of code."""
    return line.partition("  # ")[2].strip()


def limits() -> str:
    """Every limit with its value and reason, per file."""
    lines = ["# Limits", "", "Everything has a limit, and each has a reason. Written from the code by `make docs`."]
    for path in LIMITS:
        rows = list(_limits_in((ROOT / path).read_text()))
        lines += ["", f"## `{path}`", "", "| limit | value | reason |", "| --- | --- | --- |"]
        lines += [f"| `{name}` | `{value}` | {reason} |" for name, value, reason in rows]
    return "\n".join(lines) + "\n"


def _limits_in(text: str) -> Iterator[tuple[str, str, str]]:
    """Name, value and reason of the constants of a module, and of the fields of its `Limits`."""
    source = text.splitlines()
    tree = ast.parse(text)
    fields = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Limits")
    for node in [*tree.body, *(field for limits in fields for field in limits.body)]:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ) if not name.startswith("_"):
                yield name, ast.unparse(value), _reason(source[node.lineno - 1])
            case _:
                pass


def commands() -> str:
    """The help of every command, as the terminal shows it."""
    root: click.Group = importlib.import_module("client.cli").interward
    lines = ["# Commands", "", "What `--help` says of every command. Written by `make docs`."]
    for path, command in _walk(root, "interward"):
        context = click.Context(command, info_name=path, terminal_width=100, max_content_width=100)
        lines += ["", f"## {path}", "", "```text", command.get_help(context).rstrip(), "```"]
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n"


def _walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            yield from _walk(loaded(part), f"{path} {name}")


def chain_api() -> str:
    return reference_page(chain.API, chain.ENDPOINTS)


def tower_api() -> str:
    return reference_page(tower.API, tower.ENDPOINTS)


def hospital_api() -> str:
    return hospital_openapi.reference_page(HOSPITAL_ENDPOINTS)


PAGES: dict[str, Callable[[], str]] = {
    "faults.md": faults,
    "limits.md": limits,
    "cli.md": commands,
    "chain-api.md": chain_api,
    "hospital-api.md": hospital_api,
    "tower-api.md": tower_api,
}


def write() -> None:
    """Bring docs/reference up to date."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())


if __name__ == "__main__":
    write()
