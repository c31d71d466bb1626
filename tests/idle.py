"""Waiting until nothing moves: no task, and no thread that a task waits for."""

import trio
import trio.testing

__all__ = ["all_idle"]

PAUSE_S = 0.001


async def all_idle() -> None:
    """Like trio's `wait_all_tasks_blocked`, for which a task that waits for a thread looks blocked."""
    threads = trio.to_thread.current_default_thread_limiter()
    while True:
        await trio.testing.wait_all_tasks_blocked(PAUSE_S)
        if not threads.borrowed_tokens:
            return
        await trio.sleep(PAUSE_S)
