"""Downloads under way, for whoever watches: bytes that are here, of how many, how fast. Tells desks now and then."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import trio

from l2.desk import words
from l2.node.bodies import Download
from l2.node.exchange.dealing import Dealing
from l2.node.hospital import Hospital

__all__ = ["Transfers"]

TELL_S = 0.25  # between two pieces of news of one download: a progress bar needs no more


@dataclass(slots=True)
class _Transfer:
    channel: bytes
    grant: int
    done: int
    total: int
    resumed: int
    began_s: float
    told_s: float


class Transfers:
    """See the module."""

    def __init__(self, hospital: Hospital) -> None:
        self._hospital = hospital
        self._under_way: dict[tuple[bytes, int], _Transfer] = {}

    @contextmanager
    def following(self, dealing: Dealing, index: int, download: Download) -> Iterator[Callable[[int], None]]:
        """A download is under way meanwhile; tell the function of each piece that was verified."""
        began_s, here = trio.current_time(), download.bytes_here
        transfer = _Transfer(dealing.id, index, here, download.body.cipher_size, here, began_s, began_s)
        self._under_way[dealing.id, index] = transfer

        def progress(size: int) -> None:
            transfer.done += size
            now_s = trio.current_time()
            if now_s - transfer.told_s >= TELL_S or transfer.done == transfer.total:
                transfer.told_s = now_s
                self._hospital.announce(
                    "fetching", dealing.id, f"grant {index}: {transfer.done} of {transfer.total} bytes"
                )

        try:
            yield progress
        finally:
            del self._under_way[dealing.id, index]

    def views(self) -> list[words.TransferView]:
        now_s = trio.current_time()
        return [
            words.TransferView(
                channel=one.channel.hex(),
                grant=one.grant,
                bytes_done=one.done,
                bytes_total=one.total,
                bytes_per_s=round((one.done - one.resumed) / max(now_s - one.began_s, 0.001)),
            )
            for one in self._under_way.values()
        ]
