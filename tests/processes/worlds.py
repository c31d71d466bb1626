"""The demo's world for tests: the same, but keys are made without the cost of a person's password (`cheap`)."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from client.demo import world
from tests.processes.cheap import cheaply

__all__ = ["CheapWorld", "open_world"]


class CheapWorld(world.World):
    """Its passwords are random, and its folders temporary."""

    async def run(self, name: str, arguments: Sequence[str], *, folder: Path | None = None) -> str:
        makes = arguments[1] == "init"
        return await super().run(name, cheaply(*arguments) if makes else arguments, folder=folder)


def open_world(folder: Path) -> AbstractAsyncContextManager[world.World]:
    return world.open_world(folder, kind=CheapWorld)
