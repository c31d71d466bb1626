"""The project's own Python files, parsed once.

Tests ask for them while they run, never at collection, which every worker of pytest does for itself; and one test is
one rule for all files, which names the files that break it.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["ROOT", "Source", "imports_of", "product", "sources", "texts"]

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("l1", "l2", "client")


@dataclass(frozen=True)
class Source:
    """A file: its path from the root, its text, its tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """The folder, dotted: `l1.ground` for `l1/ground/codec.py`."""
        return ".".join(Path(self.path).parts[:-1])

    def is_in(self, *packages: str) -> bool:
        return any(self.package == package or self.package.startswith(f"{package}.") for package in packages)


@cache
def sources() -> tuple[Source, ...]:
    """Every Python file of product and tests."""
    paths = sorted(path for top in (*PRODUCT, "tests") for path in (ROOT / top).rglob("*.py"))
    return tuple(_parsed(path) for path in paths)


def _parsed(path: Path) -> Source:
    text = path.read_text()
    return Source(path=path.relative_to(ROOT).as_posix(), text=text, tree=ast.parse(text))


def product() -> list[Source]:
    """The files that are installed."""
    return [source for source in sources() if source.is_in(*PRODUCT)]


@cache
def imports_of(source: Source) -> frozenset[str]:
    """Every module that the file imports, wherever in it, relative imports made absolute."""
    return frozenset(_imports_of(source))


def _imports_of(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(source.package.split(".")[: -node.level + 1 or None]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def texts() -> Iterator[tuple[str, str]]:
    """Path and content of every text that the project publishes: code, documents, settings."""
    endings = {".py", ".md", ".toml", ".yml", ".yaml", ".json", ".css", ".html"}
    tops = [ROOT / top for top in (*PRODUCT, "tests", "docs", ".ci")]
    files = [path for top in tops for path in top.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    for path in sorted([*files, *(path for path in ROOT.iterdir() if path.is_file())]):
        if path.suffix in endings or path.name in {"Makefile", "run"}:
            yield path.relative_to(ROOT).as_posix(), path.read_text(errors="replace")
