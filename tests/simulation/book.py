"""What a tower of the simulated world remembers: the rows of a real one, whole transactions at a time, in memory."""

from collections.abc import Iterator

from l2.tower.rows import Answer, Held, Known

__all__ = ["MemoryBook"]


class MemoryBook:
    """As `l2.tower.store.Change`, which is what `l2.tower.judging` decides over. `store` is what the process that has
    it open calls it."""

    def __init__(self) -> None:
        self.store = 0
        self.height: int | None = None  # the last block that was taken in
        self.known: dict[bytes, Known] = {}
        self._held: dict[bytes, Held] = {}
        self._answers: dict[bytes, Answer] = {}
        self._waiting: set[bytes] = set()
        self._due: set[bytes] = set()

    def held(self, key: bytes) -> Held | None:
        return self._held.get(key)

    def hold(self, key: bytes, held: Held) -> None:
        self._held[key] = held

    def forget(self, key: bytes) -> None:
        self._held.pop(key, None)

    def forget_hospital(self, hospital: bytes) -> None:
        for key in [key for key, held in self._held.items() if held.hospital == hospital]:
            self.forget(key)

    def answer(self, key: bytes) -> Answer | None:
        return self._answers.get(key)

    def put_answer(self, key: bytes, answer: Answer, *, waits: bool) -> None:
        self._answers[key] = answer
        if waits:
            self._waiting.add(key)
        else:
            self._waiting.discard(key)

    def waiting(self) -> list[bytes]:
        return sorted(self._waiting)

    def put_due(self, key: bytes) -> None:
        self._due.add(key)

    def delete_due(self, key: bytes) -> None:
        self._due.discard(key)

    def due(self, clock_ms: int) -> list[bytes]:
        return sorted(key for key in self._due if int.from_bytes(key[:8], "big") <= clock_ms)

    @property
    def has_work(self) -> bool:
        return bool(self._waiting or self._due)

    def all_held(self) -> Iterator[tuple[bytes, Held]]:
        yield from self._held.items()

    def copy(self) -> "MemoryBook":
        made = MemoryBook()
        made.height, made.known = self.height, dict(self.known)
        made._held, made._answers = dict(self._held), dict(self._answers)
        made._waiting, made._due = set(self._waiting), set(self._due)
        return made
