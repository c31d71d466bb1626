"""The keys that records' own keys are boxed under: one for each epoch, the newest for what is written now.

A value, without disk or clock. docs/spec/records.md, REST-7.
"""

from l1.ground.codec import Shape, decoder
from l1.ground.faults import Fault, Refused

__all__ = ["Ring", "decode_ring"]


class Ring(Shape, frozen=True):
    """Epochs and their keys, oldest first."""

    keys: tuple[tuple[int, bytes], ...] = ()

    @property
    def epoch(self) -> int:
        """The newest: what is written now is boxed under its key."""
        return self.keys[-1][0]

    @property
    def key(self) -> bytes:
        return self.keys[-1][1]

    def of(self, epoch: int) -> bytes:
        """Raises `Refused` (BAD_CIPHERTEXT) for an epoch whose key is gone."""
        for known, key in reversed(self.keys):
            if known == epoch:
                return key
        raise Refused(Fault.BAD_CIPHERTEXT, f"there is no key of epoch {epoch}")

    def grown(self, key: bytes) -> "Ring":
        """With a new epoch."""
        return Ring((*self.keys, (self.epoch + 1 if self.keys else 1, key)))


decode_ring = decoder(Ring, bytes_max=64 * 1024, what="stored ring of keys")
