"""Programs start warm in all of these tests."""

from collections.abc import Iterator

import pytest

from tests.processes.warm import warm_starts


@pytest.fixture(scope="package", autouse=True)
def _warm() -> Iterator[None]:
    with warm_starts():
        yield
