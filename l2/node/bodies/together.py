"""Several tasks as one piece of work: when one fails all end, and its error is raised as it is, not in a group."""

from collections.abc import Awaitable, Callable

import trio

__all__ = ["run_together"]

Task = Callable[[], Awaitable[object]]


async def run_together(*tasks: Task) -> None:
    """Run all until each has returned. The first error that a task raises ends the others, and is raised."""
    errors: list[Exception] = []

    async def run(task: Task, scope: trio.CancelScope) -> None:
        try:
            await task()
        except Exception as error:  # whoever called knows what to do about each kind
            errors.append(error)
            scope.cancel()

    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(run, task, nursery.cancel_scope)
    if errors:
        raise errors[0]
