"""A command that is known by name and help before its module is loaded, so that only what is asked for is loaded.

Its help is that of the command itself: a test compares them.
"""

from importlib import import_module
from typing import Any

import click

__all__ = ["Later", "loaded"]


class Later(click.Command):
    """Stands for the command `place`, written `module:name`, and becomes it when it is called, or asked to complete."""

    def __init__(self, name: str, place: str, help: str) -> None:  # noqa: A002 - click's word
        super().__init__(name, help=help)
        self._place = place

    def load(self) -> click.Command:
        module, _, name = self._place.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of the command that this one stands for: click goes on with that."""
        return self.load().make_context(info_name, args, parent, **extra)


def loaded(command: click.Command) -> click.Command:
    """The command itself, for those who look at all of them."""
    return command.load() if isinstance(command, Later) else command
