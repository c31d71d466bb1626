"""Two hospitals that one registry knows."""

import pytest

from l2.link import Station
from tests.shell.meeting import KNOWN, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def alice(world: World) -> Station:
    return Station(world.admit(b"A"), world, KNOWN)


@pytest.fixture
def bob(world: World) -> Station:
    return Station(world.admit(b"B"), world, KNOWN)
