"""Documents tell the truth: rules that the code cites exist, links lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, sources

RULE = re.compile(r"\[([A-Z]{2,}-\d+)\]")
DEFINED = re.compile(r"^\*\*([A-Z]{2,}-\d+)\*\*", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])


def test_every_rule_that_the_code_cites_stands_in_a_specification() -> None:
    defined = {rule for page in (ROOT / "docs" / "spec").glob("*.md") for rule in DEFINED.findall(page.read_text())}
    cited = {(rule, source.path) for source in sources() for rule in RULE.findall(source.text)}
    assert not sorted((rule, path) for rule, path in cited if rule not in defined)


def test_no_rule_is_defined_twice() -> None:
    rules = [rule for page in (ROOT / "docs" / "spec").glob("*.md") for rule in DEFINED.findall(page.read_text())]
    assert sorted(rules) == sorted(set(rules))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"
