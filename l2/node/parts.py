"""Which part of a hospital's channels a process keeps, and where their rows lie. Pure but for the paths.

A channel's home follows from its id and the number of workers, so nobody has to be asked, and nothing written down
that could be lost. One process keeps all, and its store is the first worker's: `channels.mdb`.
"""

from dataclasses import dataclass
from pathlib import Path

from l2.desk.words import WORKERS_MAX
from l2.link import slot_of

__all__ = ["CHANNELS", "WHOLE", "WORKERS_MAX", "Part", "home_of_slot", "lock_of", "store_of", "stores_in"]

CHANNELS = "channels.mdb"


def home_of_slot(slot: int, workers: int) -> int:
    """The number of the worker that keeps the channels of a slot."""
    return slot % workers


def store_of(number: int) -> str:
    """The file name of a worker's store; its journal lies beside it."""
    return f"channels-{number}.mdb" if number else CHANNELS


def lock_of(number: int) -> str:
    """The file name of a worker's lock."""
    return f"lock-{number}"


def stores_in(folder: Path) -> dict[int, Path]:
    """The stores that there are, by their workers' numbers."""
    paths = {number: folder / store_of(number) for number in range(WORKERS_MAX)}
    return {number: path for number, path in paths.items() if path.exists()}


@dataclass(frozen=True)
class Part:
    """Worker `number` of so many. The first also does what is done once for the whole hospital."""

    number: int = 0
    workers: int = 1

    @property
    def is_first(self) -> bool:
        return self.number == 0

    def keeps(self, channel: bytes) -> bool:
        return home_of_slot(slot_of(channel), self.workers) == self.number


WHOLE = Part()
