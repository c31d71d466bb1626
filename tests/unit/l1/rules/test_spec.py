"""The specification and the code cite the same rules, and the diagram is the table."""

import re
from pathlib import Path

from l1.rules.phases import diagram

ROOT = Path(__file__).parents[4]
SPEC = "\n".join(
    (ROOT / "docs/spec" / page).read_text(encoding="utf-8")
    for page in ("chain.md", "keys.md", "disputes.md", "fees.md")
)
FAMILIES = (
    "STATE|GENESIS|BLOCK|ACCOUNT|KEY|OPEN|CHECKPOINT|RESUME|CLOSE|TOWER|EVIDENCE|JUDGE|DISPUTE|DEMAND|FEE|PARAMETERS"
)


def test_every_rule_that_the_code_cites_is_in_the_specification() -> None:
    cited = {
        rule
        for source in (ROOT / "l1/rules").glob("*.py")
        for rule in re.findall(rf"\b(?:{FAMILIES})-\d+\b", source.read_text(encoding="utf-8"))
    }
    written = set(re.findall(rf"^\*\*((?:{FAMILIES})-\d+)\*\*", SPEC, flags=re.MULTILINE))
    assert cited
    assert cited <= written


def test_rules_are_numbered_without_a_gap() -> None:
    numbers: dict[str, list[int]] = {}
    for family, number in re.findall(rf"^\*\*({FAMILIES})-(\d+)\*\*", SPEC, flags=re.MULTILINE):
        numbers.setdefault(family, []).append(int(number))
    for family, found in numbers.items():
        assert found == list(range(1, len(found) + 1)), family


def test_the_diagram_is_the_table() -> None:
    assert diagram() in SPEC
