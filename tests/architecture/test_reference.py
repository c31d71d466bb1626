"""The generated reference is what the code says today."""

import pytest

from tests.architecture.reference import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_up_to_date(name: str) -> None:
    page = FOLDER / name
    assert page.exists(), "run `make docs`"
    assert page.read_text() == PAGES[name](), "run `make docs`"
