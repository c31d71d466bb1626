"""Floors and purity: imports point down only, and what must be pure cannot reach a clock, a disk or a die."""

import ast
import subprocess
import sys

import pytest

from tests.architecture.sources import ROOT, Source, imports_of, product

PURE = ("l1.ground", "l1.rules", "l2.protocol", "l2.records")
PURE_MODULES = ("l2.tower.admission", "l2.tower.judging", "l2.tower.rows")  # what a tower decides
IMPURE = {
    "asyncio", "httpx", "hypercorn", "lmdb", "logging", "multiprocessing", "os", "pathlib", "random", "secrets",
    "select", "selectors", "shutil", "signal", "socket", "ssl", "starlette", "structlog", "subprocess", "tempfile",
    "threading", "time", "trio", "urllib", "uuid",
}  # fmt: skip
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "__import__"}
IMPURE_METHODS = {"now", "today", "utcnow", "getrandom", "urandom"}
FLOORS = [
    {"l1.ground"},
    {"l1.rules"},
    {"l1.reader"},
    {"l2.protocol", "l2.records"},
    {"l2.link", "l2.desk", "l2.vigil", "l1.serving"},
]
TOP = {"l1.node", "l2.node", "l2.tower", "client"}
KEEPERS = {
    "coincurve": ("l1.ground.signing",),
    "nacl": ("l1.ground.sealed", "l2.records"),
    "lmdb": ("l1.node", "l2.node", "l2.tower", "client.bench.floor"),  # the bare pipeline has a like store
}
"""Who alone may know a library."""


def floor_of(module: str) -> tuple[int, str] | None:
    """The floor's number and the package that stands on it; None for other people's modules."""
    for number, packages in enumerate([*FLOORS, TOP]):
        for package in packages:
            if module == package or module.startswith(f"{package}."):
                return number, package
    return None


def name_of(source: Source) -> str:
    return source.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def is_pure(source: Source) -> bool:
    return source.is_in(*PURE) or name_of(source) in PURE_MODULES


def test_imports_point_down_and_siblings_do_not_know_each_other() -> None:
    assert not [f"{source.path} imports {module}" for source in product() for module in imports_up(source)]


def imports_up(source: Source) -> list[str]:
    """What the file imports from its own height or above, its own package apart."""
    here = floor_of(name_of(source))
    if here is None:
        assert name_of(source) in {"l1", "l2"}
        return []
    theres = {module: floor_of(module) for module in imports_of(source)}
    return [module for module, there in theres.items() if there and there[0] >= here[0] and there[1] != here[1]]


def test_pure_floors_are_pure() -> None:
    pure = [source for source in product() if is_pure(source)]
    assert len(pure) > 50
    assert not {source.path: found for source in pure if (found := impure_in(source))}


def impure_in(source: Source) -> set[str]:
    """Impure modules that the file imports, and impure calls that it makes."""
    modules = {module.split(".")[0] for module in imports_of(source)}
    calls = [node.func for node in ast.walk(source.tree) if isinstance(node, ast.Call)]
    functions = {call.id for call in calls if isinstance(call, ast.Name)}
    methods = {call.attr for call in calls if isinstance(call, ast.Attribute)}
    return modules & IMPURE | functions & IMPURE_CALLS | methods & IMPURE_METHODS


@pytest.mark.parametrize("library", KEEPERS)
def test_only_its_keepers_know_a_library(library: str) -> None:
    for source in product():
        if any(module.split(".")[0] == library for module in imports_of(source)):
            name = name_of(source)
            kept = any(name == keeper or name.startswith(f"{keeper}.") for keeper in KEEPERS[library])
            assert kept, f"{source.path} imports {library}"


def test_pure_floors_load_without_the_impure_libraries() -> None:
    """Also indirectly: importing every pure module loads neither trio nor lmdb nor a server."""
    modules = [name_of(source) for source in product() if is_pure(source) and not source.is_in("l2.records")]
    program = (
        f"import importlib, sys\nfor m in {modules!r}: importlib.import_module(m)\n"
        "print(*sorted({'trio', 'lmdb', 'httpx', 'starlette', 'hypercorn', 'structlog'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""


def test_the_import_linter_says_the_same() -> None:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", program, "--no-cache"]
    linter = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert linter.returncode == 0, linter.stdout
