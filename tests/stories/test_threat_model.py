"""The table of thieves in docs/threat-model.md and the stories name each other: neither has more than the other."""

import re
from pathlib import Path

HERE = Path(__file__).parent
MODEL = (HERE.parents[1] / "docs/threat-model.md").read_text(encoding="utf-8")


def test_every_line_about_a_thief_is_a_story_and_every_story_a_line() -> None:
    section = MODEL.partition("## What a thief of a key can do")[2].partition("\n## ")[0]
    told = set(re.findall(r"`(\w{20,})`", section))
    stories = {
        story
        for page in HERE.glob("test_thief_*.py")
        for story in re.findall(r"^(?:async )?def test_(\w+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }
    assert told - {"test_thief_of_chain_keys", "test_thief_of_line_and_record_keys"} == stories
