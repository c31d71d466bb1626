"""The world every test of the rules begins in."""

import pytest

from tests.unit.l1.rules.world import World


@pytest.fixture
def world() -> World:
    return World()
