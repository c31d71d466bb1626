"""A hospital's channel keys: made by its operator, registered on the chain, used, and the older ones ended.

As in the real node each step may be taken again: what is in the ring and on the chain is used, what every open channel
signs with lets the older ones end. The ring lies in a file of its own: it survives most of what happens to the disk,
but goes back with the folder at times.
"""

from typing import TYPE_CHECKING

from l1.ground.faults import Refused
from l1.ground.hashing import digest
from l1.ground.limits import TIME_MS_MAX
from l1.ground.signing import Context, Purpose, sign
from l1.rules.keys import channel_keys_here, counting_keys, own_channel_keys
from l1.rules.state import Channel, Hospital
from l1.rules.transactions import CHANNEL, RegisterKey, RevokeKey, key_words
from l2.protocol.events import AskCheckpoint, KeyOver, KeyReady, PeerKeysSeen
from l2.protocol.phases import Phase
from tests.simulation.chain import KEY_WINDOW_MS, Answer
from tests.simulation.genuine import SimKey

if TYPE_CHECKING:
    from tests.simulation.keeper import Keeper
    from tests.simulation.node import Node

__all__ = ["FIRST", "KeyRing"]

FIRST = 1  # the number of the channel key of the admission
KEYS_MAX = 40  # of one hospital in one world
EXPIRES_MS = (15_000, 60_000, 200_000, 900_000)  # of one key in four: its operator makes another in time, or does not


class KeyRing:
    """`keys` are the private keys by their public ones; numbers are the registry's."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        first = SimKey(digest(b"channel %d" % node.number))
        self.keys: dict[bytes, SimKey] = {first.public_key: first}
        self.first = first
        self._made = 1
        self._is_asking = False  # a key that is needed is on its way to the chain

    def registered(self) -> Hospital:
        return self._node.world.chain.hospital(self._node.id)

    def public(self) -> dict[int, bytes]:
        """Every channel key that was ever registered, by number."""
        return {key.number: key.key for key in self.registered().keys if key.kind == CHANNEL}

    def signing(self) -> tuple[int, SimKey]:
        """The newest key that counts and is held; one that is over rather than none."""
        me, clock_ms = self.registered(), self._node.world.chain.tip.clock_ms
        held = [key for key in counting_keys(me, CHANNEL, clock_ms) if key.key in self.keys]
        held = held or [key for key in me.keys if key.key in self.keys and key.revoked_at_ms is None]
        return (held[-1].number, self.keys[held[-1].key]) if held else (FIRST, self.first)

    def acting(self) -> SimKey:
        """What asks the chain in a channel's affairs: a channel key, expired or not; else the root key."""
        number, key = self.signing()
        return key if self.registered().keys[number].revoked_at_ms is None else self._node.root

    def signs(self, row: Channel) -> tuple[int, SimKey, int]:
        """[ROT-2] Number and key for what is said in a channel, and up to which number none signs its log."""
        keys = own_channel_keys(self.registered(), row.opened_at_ms, self._node.world.chain.tip.clock_ms)
        held = [key for key in keys if key.key in self.keys]
        number, signer = (held[-1].number, self.keys[held[-1].key]) if held else (FIRST, self.first)
        if not keys:
            return number, signer, number
        signs = keys[-1].number == number and keys[-1].revoked_at_ms is None
        return number, signer, -1 if signs else keys[-1].number

    def is_over(self) -> bool:
        """Whether some channel that it keeps can sign nothing before the next key."""
        return any(keeper.channel.key_is_over() for keeper in self._node.keepers.values())

    def go_back(self, kept: frozenset[bytes]) -> None:
        """The folder is a copy, and its ring with it: what was made since is lost."""
        self.keys = {public: key for public, key in self.keys.items() if public in kept}

    # -- what a block brings ----------------------------------------------------------------------------------------

    def tell(self, keeper: "Keeper", row: Channel, height: int) -> None:
        """A keeper hears which keys count, and of a newer one of ours."""
        world, peer = self._node.world, self._node.world.peer_of(keeper)
        registered, side = peer.ring.registered(), 1 - keeper.side
        clock_ms = world.chain.tip.clock_ms
        theirs = channel_keys_here(row, side, registered, clock_ms=clock_ms, key_window_ms=KEY_WINDOW_MS)
        keeper.own_keys = self.public()
        keeper.channel.keys_ever = world.keys_ever(row)
        number, signer, over = self.signs(row)
        if over > keeper.channel.over:
            keeper.offer(KeyOver(over))
        if number > max(keeper.channel.me.key, over):
            keeper.offer(KeyReady(signer, number, height))
        keeper.offer(PeerKeysSeen(theirs))

    # -- what its operator does -------------------------------------------------------------------------------------

    def rotate(self, *, needed: bool = False) -> bool:
        """Make a key and register it."""
        node, world = self._node, self._node.world
        if self._is_asking or (len(self.keys) >= KEYS_MAX and not needed):
            return False
        key = SimKey(digest(b"channel %d, key %d" % (node.number, self._made)))
        self._made += 1
        self._is_asking = needed
        self.keys[key.public_key] = key
        until = world.chain.tip.clock_ms + world.rng.choice(EXPIRES_MS) if world.rng.random() < 0.25 else TIME_MS_MAX
        said = key_words(hospital=node.id, kind=CHANNEL, key=key.public_key)
        possession = sign(key, Purpose.KEY, Context(chain=world.chain.id), said)
        action = RegisterKey(
            hospital=node.id, kind=CHANNEL, key=key.public_key, valid_from_ms=0, valid_until_ms=until,
            possession=possession,
        )  # fmt: skip
        world.chain.ask(node.root, action, self._counted("key registered"))
        world.want_block()
        return True

    def end_older(self) -> bool:
        """Once every open channel signs with the newest key: revoke the others, and checkpoint under it (KEY-6)."""
        node, world = self._node, self._node.world
        number, _ = self.signing()
        keepers = [keeper for keeper in node.keepers.values() if keeper.channel.phase is Phase.OPEN]
        if any(keeper.channel.me.key < number for keeper in keepers):
            return False
        older = [k for k in self.registered().keys if k.kind == CHANNEL and k.number < number and not k.revoked_at_ms]
        retiring = [k for k in keepers if k.channel.l1 and k.channel.l1.sides[k.side].newest_key < number]
        for each in older:
            action = RevokeKey(hospital=node.id, number=each.number, compromised_since_ms=None)
            world.chain.ask(node.root, action, self._counted("key revoked"))
        for keeper in retiring:
            keeper.offer(AskCheckpoint())
        world.want_block()
        return bool(older or retiring)

    def end_newest(self) -> bool:
        """Before there is another."""
        node, world = self._node, self._node.world
        number, _ = self.signing()
        if self.registered().keys[number].revoked_at_ms is not None:
            return False
        action = RevokeKey(hospital=node.id, number=number, compromised_since_ms=None)
        world.chain.ask(node.root, action, self._counted("key revoked"))
        world.want_block()
        return True

    def _counted(self, what: str) -> Answer:
        def answer(refused: Refused | None) -> None:
            self._is_asking = False
            self._node.world.counts[f"{what}{' not' if refused else ''}"] += 1

        return answer
