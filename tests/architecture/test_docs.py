"""Documents tell the truth: rules that the code cites exist, links lead somewhere."""

import re

from tests.architecture.sources import ROOT, sources

RULE = re.compile(r"\[([A-Z]{2,}-\d+)\]")
DEFINED = re.compile(r"^\*\*([A-Z]{2,}-\d+)\*\*", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def test_every_rule_that_the_code_cites_stands_in_a_specification() -> None:
    defined = {rule for page in (ROOT / "docs" / "spec").glob("*.md") for rule in DEFINED.findall(page.read_text())}
    cited = {(rule, source.path) for source in sources() for rule in RULE.findall(source.text)}
    assert not sorted((rule, path) for rule, path in cited if rule not in defined)


def test_no_rule_is_defined_twice() -> None:
    rules = [rule for page in (ROOT / "docs" / "spec").glob("*.md") for rule in DEFINED.findall(page.read_text())]
    assert sorted(rules) == sorted(set(rules))


def test_links_lead_somewhere() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    links = {(page, target) for page in pages for target in LINK.findall(page.read_text()) if is_here(target)}
    assert not [(str(page), target) for page, target in links if not (page.parent / target).exists()]


def is_here(target: str) -> bool:
    return "://" not in target and not target.startswith("mailto:")
