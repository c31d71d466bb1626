"""A hospital's root keys and its recovery key in the simulated world, and the thief who has stolen the root keys.

The thief may do with them what the chain lets a root key do but spend credits, sign openings and dismiss towers, which
is the owner's loss until the recovery: it registers keys of every kind, and ends keys. Whom the recovery key belongs to
is awake soon enough, vetoes what waits and brings a new root key; then the stolen ones have given way for ever.
"""

from typing import TYPE_CHECKING

from l1.ground.faults import Refused
from l1.ground.hashing import digest
from l1.ground.limits import TIME_MS_MAX
from l1.ground.signing import Context, Purpose, sign
from l1.rules.keys import counting_keys
from l1.rules.state import Key
from l1.rules.transactions import CHANNEL, RECOVERY, ROOT, RegisterKey, RevokeKey, key_words
from tests.simulation.chain import KEY_WINDOW_MS
from tests.simulation.genuine import SimKey
from tests.simulation.words import Violation

if TYPE_CHECKING:
    from tests.simulation.node import Node

__all__ = ["Roots"]

ROOTS_MAX = 12  # of one hospital in one world
FOREIGN_MAX = 30  # keys that thieves bring


class Roots:
    """`held` are the owner's root keys; `stolen` those that a thief has too, until the recovery ends them."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.first = SimKey(digest(b"root %d" % node.number))
        self.held: dict[bytes, SimKey] = {self.first.public_key: self.first}
        self.recovery = SimKey(digest(b"recovery %d" % node.number))
        self.stolen: list[SimKey] = []
        self._ended: list[SimKey] = []  # stolen once, and given way since
        self._foreign: dict[bytes, SimKey] = {}  # what thieves brought
        self._recovered: bytes | None = None  # the root key that ends this theft, once it is made
        self._asked: set[object] = set()  # of the chain, which has not answered yet

    @property
    def is_robbed(self) -> bool:
        return bool(self.stolen)

    @property
    def was_robbed(self) -> bool:
        return bool(self.stolen or self._ended)

    def signing(self) -> SimKey:
        """The newest root key that counts; the first where none does, and the chain refuses it."""
        counting = [key for key in self._counting(ROOT) if key.key in self.held]
        return self.held[counting[-1].key] if counting else self.first

    def _counting(self, kind: int) -> list[Key]:
        return counting_keys(self._node.ring.registered(), kind, self._node.world.chain.tip.clock_ms)

    def has_recovery(self) -> bool:
        return any(key.key == self.recovery.public_key for key in self._counting(RECOVERY))

    def _waiting(self) -> list[Key]:
        clock_ms = self._node.world.chain.tip.clock_ms
        keys = [key for key in self._node.ring.registered().keys if key.kind in (ROOT, RECOVERY)]
        return [key for key in keys if key.revoked_at_ms is None and key.valid_from_ms > clock_ms]

    # -- what the owner does ----------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """The recovery key is registered when the hospital begins, and goes into a safe."""
        self._register(self.first, RECOVERY, self.recovery)

    def rotate(self) -> bool:
        """Another root key, beside those that count; refused while a recovery is under way."""
        if len(self.held) >= ROOTS_MAX:
            return False
        self._register(self.signing(), ROOT, self._made())
        return True

    def look(self) -> None:
        """[KEY-11] Veto what waits and is not ours; [KEY-13] after a theft bring a root key, [KEY-14] which ends it."""
        for key in self._waiting():
            if key.key not in self.held and key.key != self.recovery.public_key:
                self._end(self.recovery, key.number, "veto")
        if not self.is_robbed:
            return
        if self._recovered is None:
            made = self._made()
            self._recovered = made.public_key
        if self._recovered in [key.key for key in self._counting(ROOT)]:
            self._node.world.counts["root recovered"] += 1
            self._ended += self.stolen
            self.stolen, self._recovered = [], None
        elif self._recovered not in [key.key for key in self._node.ring.registered().keys]:
            self._register(self.recovery, ROOT, self.held[self._recovered])

    def _made(self) -> SimKey:
        made = SimKey(digest(b"root %d, key %d" % (self._node.number, len(self.held))))
        self.held[made.public_key] = made
        return made

    # -- what the thief does ----------------------------------------------------------------------------------------

    def rob(self) -> bool:
        """All root keys are copied. Only a hospital that has a recovery key by then gets rid of the thief."""
        if self.is_robbed or not self.has_recovery():
            return False
        self.stolen = list(self.held.values())
        return True

    def misuse(self) -> bool:
        """One deed of the thief. What it registers it could use; what it ends, its owner has to bring anew."""
        rng, node = self._node.world.rng, self._node
        keys = self.stolen or self._ended
        if not keys or len(self._foreign) >= FOREIGN_MAX:
            return False
        key, kind = rng.choice(keys), rng.choice((ROOT, RECOVERY, CHANNEL, None, None))
        if kind is None:
            number = rng.choice([each.number for each in node.ring.registered().keys])
            self._end(key, number, "thief's end of a key")
            return True
        made = SimKey(digest(b"thief %d, key %d" % (node.number, len(self._foreign))))
        self._foreign[made.public_key] = made
        self._register(key, kind, made, "thief's key")
        return True

    # -- asking the chain -------------------------------------------------------------------------------------------

    def _register(self, by: SimKey, kind: int, key: SimKey, what: str = "root key asked for") -> None:
        node = self._node
        words = key_words(hospital=node.id, kind=kind, key=key.public_key)
        possession = sign(key, Purpose.KEY, Context(chain=node.world.chain.id), words)
        action = RegisterKey(
            hospital=node.id, kind=kind, key=key.public_key, valid_from_ms=0, valid_until_ms=TIME_MS_MAX,
            possession=possession,
        )  # fmt: skip
        self._ask(by, action, what)

    def _end(self, by: SimKey, number: int, what: str) -> None:
        self._ask(by, RevokeKey(hospital=self._node.id, number=number, compromised_since_ms=None), what)

    def _ask(self, by: SimKey, action: RegisterKey | RevokeKey, what: str) -> None:
        world = self._node.world
        if (by.public_key, action) in self._asked:
            return
        self._asked.add((by.public_key, action))

        def answer(refused: Refused | None) -> None:
            self._asked.discard((by.public_key, action))
            world.counts[f"{what}{', refused' if refused else ''}"] += 1
            if refused is None:
                self._check_counts(by)

        world.chain.ask(by, action, answer)
        world.want_block()

    def _check_counts(self, by: SimKey) -> None:
        """[KEY-14] The auditor's: what a key that has given way asks for is refused."""
        if by.public_key in [key.public_key for key in self._ended]:
            raise Violation("a key that gave way acts no more", f"of hospital {self._node.number}")

    def check(self) -> None:
        """The auditor's, after every block: no root nor recovery key of a thief ever begins."""
        for key in (*self._counting(ROOT), *self._counting(RECOVERY)):
            if key.key in self._foreign:
                detail = f"key {key.number} of hospital {self._node.number}, {KEY_WINDOW_MS} ms after it was registered"
                raise Violation("a thief's root key never begins", detail)
