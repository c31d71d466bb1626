"""Files stay small, say what they are for, and have front doors."""

import ast
import re

import pytest

from tests.architecture.sources import ROOT, Source, product, sources, texts

LINES_MAX = 400
FUNCTION_LINES_MAX = 50
DOORLESS = {"l1", "l2", "client", "l1.node", "l2.node"}
"""Packages that nobody imports from: a process, or only a folder."""


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.path)
def test_no_file_and_no_function_is_too_long(source: Source) -> None:
    assert source.text.count("\n") <= LINES_MAX
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= FUNCTION_LINES_MAX, f"{source.path}: {node.name} has {length} lines"


@pytest.mark.parametrize("source", product(), ids=lambda source: source.path)
def test_every_module_says_what_it_is_for(source: Source) -> None:
    assert ast.get_docstring(source.tree), f"{source.path} has no docstring"


@pytest.mark.parametrize("source", product(), ids=lambda source: source.path)
def test_what_a_module_offers_exists(source: Source) -> None:
    """`__all__` names only what the module defines or imports."""
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
    assert offered <= known


def test_no_package_is_called_after_nothing() -> None:
    names = {part for source in product() for part in source.path.removesuffix(".py").split("/")}
    assert not names & {"utils", "util", "helpers", "misc", "common", "manager", "managers"}


def test_top_level_folders_are_the_agreed_ones() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages <= {"l1", "l2", "client", "tests"}


LEFTOVERS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


@pytest.mark.parametrize(("path", "text"), list(texts()), ids=[path for path, _ in texts()])
def test_nothing_is_left_for_later_in_the_text(path: str, text: str) -> None:
    if path != "tests/architecture/test_files.py":
        assert not LEFTOVERS.search(text), path


@pytest.mark.parametrize("source", product(), ids=lambda source: source.path)
def test_channel_is_never_a_trio_channel(source: Source) -> None:
    """What trio calls a memory channel is an inbox or an outbox here."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assign) and "open_memory_channel" in ast.dump(node.value):
            names = [name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)]
            assert not [name for name in names if "channel" in name]
