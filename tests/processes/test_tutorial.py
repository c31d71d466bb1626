"""The tutorial and the README's first channel, typed word for word with real processes: they print what they show."""

from pathlib import Path

import pytest

from tests.architecture.sources import ROOT
from tests.processes.pages import blocks_of, reading, same_but_for_figures

pytestmark = pytest.mark.slow

README_SECTION = "## A first channel by hand"


def test_the_tutorial_prints_what_it_shows(tmp_path: Path) -> None:
    blocks = blocks_of((ROOT / "docs" / "tutorial" / "first-channel.md").read_text())
    assert len(blocks) > 12
    with reading(tmp_path) as reader:
        for block in blocks:
            reader.do(block)


def test_the_first_channel_of_the_readme_works(tmp_path: Path) -> None:
    section = (ROOT / "README.md").read_text().partition(README_SECTION)[2].partition("\n## ")[0]
    blocks = blocks_of(section)
    assert len(blocks) == 2
    with reading(tmp_path) as reader:
        for block in blocks:
            reader.do(block)


def test_only_figures_may_differ() -> None:
    shown = "Channel 23955d66d0…  opened at 2026-11-22 16:04:19\n──────\n"
    assert same_but_for_figures(shown) == same_but_for_figures("Channel aaaabbbbcc… opened at 2027-01-01 01:02:03\n──")
    assert same_but_for_figures(shown) != same_but_for_figures(shown.replace("opened", "closed"))
