"""What the workers of one hospital ask one another. Only the first asks: it does what is done once for the hospital.

Each worker names what it answers to (`serve`); a question and its answer are bytes. Where one process keeps all
channels there is nobody to ask. How a question travels is the hub's affair.
"""

from collections.abc import Awaitable, Callable, Mapping

from l1.ground.faults import Fault, Refused, require

__all__ = ["Ask", "Service", "Siblings"]

Service = Callable[[bytes], Awaitable[bytes]]

Ask = Callable[[str, bytes], Awaitable[bytes]]
"""Puts a question to one worker. Raises `LocalError` while it does not answer, and what it raised itself."""


class Siblings:
    """See the module."""

    def __init__(self, others: Mapping[int, Ask] | None = None) -> None:
        self._others = dict(others or {})
        self._services: dict[str, Service] = {}

    def serve(self, what: str, service: Service) -> None:
        """Answer to this from now on."""
        self._services[what] = service

    async def answer(self, what: str, body: bytes) -> bytes:
        """Raises `Refused` for what nobody here answers to."""
        service = self._services.get(what)
        require(service is not None, Fault.UNEXPECTED, f"no worker answers to {what!r}")
        assert service is not None
        return await service(body)

    async def ask(self, number: int, what: str, body: bytes = b"") -> bytes:
        """Ask one worker. Raises as `Ask`."""
        ask = self._others.get(number)
        if ask is None:
            raise Refused(Fault.UNEXPECTED, f"there is no worker {number} to ask")
        return await ask(what, body)

    async def ask_all(self, what: str, body: bytes = b"") -> list[bytes]:
        """Ask all others, one after the other. Raises as `Ask`; some may then have done it."""
        return [await ask(what, body) for ask in self._others.values()]
