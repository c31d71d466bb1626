"""What the peer at a records line may pull: the bodies of grants in the channels with it, at the rate it is allowed."""

from collections.abc import Callable, Iterator, Sequence

import trio

from l1.ground.faults import Fault, Refused
from l2.node.bodies import Offered, Wrapper
from l2.node.bodies.recall import Erased
from l2.node.exchange.dealing import Dealing
from l2.node.exchange.erasing import Erasing
from l2.node.exchange.sharing import Sharing
from l2.node.hospital import Hospital

__all__ = ["PeerLibrary", "Rate"]

BURST_S = 0.25  # what a peer may have at once, in time at its rate


class Rate:
    """Bytes a second to one peer, over all its lines. 0: as fast as it goes."""

    def __init__(self, bytes_per_s: int) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_at_s = 0.0

    async def room(self, size: int) -> None:
        """Wait until so many bytes may go."""
        if self._bytes_per_s:
            now_s = trio.current_time()
            self._free_at_s = max(self._free_at_s, now_s - BURST_S) + size / self._bytes_per_s
            await trio.sleep(max(0.0, self._free_at_s - now_s))


class PeerLibrary:
    """For one line."""

    def __init__(
        self,
        hospital: Hospital,
        sharing: Sharing,
        erasing: Erasing,
        rate: Rate,
        *,
        dealings: dict[bytes, Dealing],
        peer: bytes,
    ) -> None:
        self._hospital, self._sharing, self._erasing, self._rate = hospital, sharing, erasing, rate
        self._dealings, self._peer = dealings, peer
        self.crowds = sharing.crowds

    def _dealing(self, channel: bytes) -> Dealing:
        dealing = self._dealings.get(channel)
        if dealing is None or dealing.peer != self._peer:
            raise Refused(Fault.NOT_GRANTED, "there is no such channel with you")
        return dealing

    async def find(self, channel: bytes, grant: int) -> Offered:
        return await self._sharing.find_body(self._dealing(channel), grant)

    def find_short(
        self, channel: bytes, grants: Sequence[int]
    ) -> Callable[[], Iterator[tuple[int, Offered | Refused]]]:
        try:
            return self._sharing.find_bodies(self._dealing(channel), grants)
        except Refused as refused:
            denial = refused
            return lambda: ((grant, denial) for grant in grants)

    def wrapper(self, peer: bytes) -> Wrapper:
        return self._hospital.bodies.outgoing.wrapper(peer)

    async def room(self, size: int) -> None:
        await self._rate.room(size)

    async def erase(self, channel: bytes, grant: int) -> Erased:
        return await self._erasing.answer(self._dealing(channel), grant)
