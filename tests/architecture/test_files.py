"""Files stay small, say what they are for, and have front doors."""

import ast
import re

from tests.architecture.sources import ROOT, Source, product, sources, texts

LINES_MAX = 400
FUNCTION_LINES_MAX = 50
DOORLESS = {"l1", "l2", "client", "l1.node", "l2.node"}
"""Packages that nobody imports from: a process, or only a folder."""


def test_no_file_is_too_long() -> None:
    assert not [source.path for source in sources() if source.text.count("\n") > LINES_MAX]


def test_no_function_is_too_long() -> None:
    assert not {source.path: long for source in sources() if (long := long_functions_of(source))}


def long_functions_of(source: Source) -> list[str]:
    functions = [node for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [node.name for node in functions if (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX]


def test_every_module_says_what_it_is_for() -> None:
    assert not [source.path for source in product() if not ast.get_docstring(source.tree)]


def test_what_a_module_offers_exists() -> None:
    """`__all__` names only what the module defines or imports."""
    assert not {source.path: missing for source in product() if (missing := offered_in_vain(source))}


def offered_in_vain(source: Source) -> set[str]:
    offered: set[str] = set()
    known: set[str] = set()
    for node in source.tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                offered = set(ast.literal_eval(value))
            case ast.Assign(targets=targets):
                known |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                known.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                known.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                known |= {alias.asname or alias.name for alias in names}
            case _:
                pass
    return offered - known


def test_no_package_is_called_after_nothing() -> None:
    names = {part for source in product() for part in source.path.removesuffix(".py").split("/")}
    assert not names & {"utils", "util", "helpers", "misc", "common", "manager", "managers"}


def test_top_level_folders_are_the_agreed_ones() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages <= {"l1", "l2", "client", "tests"}


LEFTOVERS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def test_nothing_is_left_for_later_in_the_text() -> None:
    left = [path for path, text in texts() if LEFTOVERS.search(text)]
    assert left == ["tests/architecture/test_files.py"]  # where the words stand


def test_channel_is_never_a_trio_channel() -> None:
    """What trio calls a memory channel is an inbox or an outbox here."""
    assert not [source.path for source in product() if any("channel" in name for name in names_of_inboxes(source))]


def names_of_inboxes(source: Source) -> list[str]:
    if "open_memory_channel" not in source.text:
        return []
    makings = [
        node
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Assign) and "open_memory_channel" in ast.dump(node.value)
    ]
    targets = [target for making in makings for target in making.targets]
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
