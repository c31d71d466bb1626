"""Pauses between tries at somebody who does not answer."""

import random

import trio

__all__ = ["Backoff"]


class Backoff:
    """Pauses that double up to a bound. Each is up to half shorter or longer, so that many who lost the same node do
    not all come back at the same moment."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s, self._most_s = first_s, most_s
        self._pause_s = first_s

    async def wait(self) -> None:
        """Pause; the next pause is longer."""
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, self._most_s)
        await trio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret

    def reset(self) -> None:
        """It answered: the next pause is the first one again."""
        self._pause_s = self._first_s
