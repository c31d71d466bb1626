"""The world: one heap of what is due, one generator of chance, and everybody in it. Same seed, same history.

Two phases. In the storm everything may go wrong, and the auditor asks only for safety. Then the weather is calm and
the auditor asks for liveness: within a bound everything arrives, agrees, closes and is paid out.
"""

import heapq
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from random import Random
from typing import Any

from l1.rules.state import Channel as L1Channel
from l1.rules.state import Phase as L1Phase
from l2.protocol import channel as channel_module
from l2.protocol import step as step_module
from l2.protocol.channel import Channel
from l2.protocol.events import Effect, Event, Send
from tests.simulation.auditor import Auditor, Violation
from tests.simulation.chain import HEARTBEAT_MS, START_MS, SimChain
from tests.simulation.gossip import Gossip
from tests.simulation.keeper import Keeper
from tests.simulation.liar import Liar
from tests.simulation.mallory import Mallory
from tests.simulation.node import Node
from tests.simulation.tower import Tower
from tests.simulation.troubles import Troubles
from tests.simulation.weather import Topology, Weather, pick_topology, pick_weather

__all__ = ["Core", "World"]

DEPOSIT, BOND = 20_000, 500


class Core:
    """The product's core, looked up at every call: so that a mutant can stand in its place."""

    def step(self, channel: Channel, events: list[Event], now_ms: int, own_keys: dict[int, bytes]) -> list[Effect]:
        return step_module.step(channel, events, now_ms, own_keys)

    def has_work(self, channel: Channel) -> bool:
        return step_module.has_work(channel)

    def load(self, *arguments: Any, fresh: bool) -> Channel:
        return channel_module.load(*arguments, fresh=fresh)


class World:
    """See the module. `crash_at` cuts hospital 0's power before that effect, counted from 0."""

    def __init__(
        self,
        seed: int | str,
        *,
        weather: str | None = None,
        topology: Topology | None = None,
        trace: Callable[[str], None] | None = None,
        crash_at: int | None = None,
        settings: Weather | None = None,
    ) -> None:
        self.seed = seed
        self.rng = Random(f"interward {seed}")
        self.weather = settings or pick_weather(self.rng, weather)
        self.topology = topology or pick_topology(self.rng, self.weather.kind)
        self.now = 0
        self.events = 0
        self.judged = 0
        self.effects = 0
        self.counts: Counter[str] = Counter()
        self.is_calm = False
        self.core = Core()
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0
        self._hash = blake2b(digest_size=16)
        self._trace = trace
        self._crash_at = crash_at
        self._blocked: dict[tuple[int, int], int] = {}
        self._block_due = -1
        self.chain_paused_until = 0
        self.auditor = Auditor(self)
        self.gossip = Gossip(self)
        self.chain = SimChain()
        self.nodes = [
            (Mallory if number == self.topology.mallory else Node)(self, number)
            for number in range(self.topology.hospitals)
        ]
        self._by_id = {node.id: node for node in self.nodes}
        self.towers = [
            (Liar if number == self.topology.liar else Tower)(self, number) for number in range(self.topology.towers)
        ]
        self._behind: set[tuple[int, bytes]] = set()
        self.channels: dict[bytes, tuple[int, int]] = {}  # that somebody still looks at, and whose they are
        self.opened = 0
        for node in self.nodes:
            self.chain.admit(f"hospital {node.number}", node.roots.first, node.ring.first)
        self.troubles = Troubles(self)

    # -- time -------------------------------------------------------------------------------------------------------

    def at(self, due: int, act: Callable[..., None], *arguments: Any) -> None:
        self._number += 1
        heapq.heappush(self._heap, (max(due, self.now), self._number, act, arguments))

    def after(self, pause: int, act: Callable[..., None], *arguments: Any) -> None:
        self.at(self.now + pause, act, *arguments)

    def run(self, is_over: Callable[[], bool]) -> bool:
        """Live on until it is over. False if nothing is due any more."""
        heap = self._heap
        while heap:
            if is_over():
                return True
            self.now, _, act, arguments = heapq.heappop(heap)
            act(*arguments)
        return False

    def delay(self) -> int:
        return self.rng.randint(*self.weather.delay_ms)

    # -- power and lines --------------------------------------------------------------------------------------------

    def power_fails(self, node: Node) -> bool:
        """Whether the power of a hospital fails before the effect at hand."""
        if self.is_calm:
            return False
        fails = self.weather.crash_per_effect > 0 and self.rng.random() < self.weather.crash_per_effect
        if node.number == 0:
            fails = fails or self.effects == self._crash_at
            self.effects += 1
        if fails:
            self.counts["crash between effects"] += 1
            node.crash()
        return fails

    def blocked_until(self, sender: int, receiver: int) -> int:
        return self._blocked.get((sender, receiver), 0)

    def block_way(self, sender: int, receiver: int, until: int) -> None:
        self._blocked[sender, receiver] = until

    def heal(self) -> None:
        self._blocked.clear()

    # -- who is who -------------------------------------------------------------------------------------------------

    @property
    def mallory(self) -> Mallory | None:
        return next((node for node in self.nodes if isinstance(node, Mallory)), None)

    def node_of(self, hospital: bytes) -> Node:
        return self._by_id[hospital]

    def peer_of(self, keeper: Keeper) -> Node:
        return self._by_id[keeper.channel.row.opening.hospitals[1 - keeper.side]]

    def side_of(self, node: Node, channel: bytes) -> int | None:
        row = self.chain.channels.get(channel)
        if row is None or node.id not in row.opening.hospitals:
            return None
        return row.opening.hospitals.index(node.id)

    def is_honest_channel(self, channel: bytes) -> bool:
        row = self.chain.channels.get(channel)
        return row is not None and not any(self._by_id[each].is_mallory for each in row.opening.hospitals)

    def keys_ever(self, row: L1Channel) -> tuple[dict[int, bytes], dict[int, bytes]]:
        """All channel keys that each side of a channel ever registered, by number."""
        first, second = (self._by_id[each].ring.public() for each in row.opening.hospitals)
        return first, second

    def is_behind(self, node: Node, channel: bytes) -> bool:
        return (node.number, channel) in self._behind or node.disk.is_hurt(channel)

    def set_behind(self, node: Node) -> None:
        """A disk went back in time, or was hurt."""
        self._behind |= {
            (node.number, row.id) for row in self.chain.channels.values() if node.id in row.opening.hospitals
        }

    def look_who_caught_up(self) -> None:
        """Behind no more is who holds again all that it said and acknowledged, or whose channel is paid out."""
        for number, channel in sorted(self._behind):
            keeper = self.nodes[number].keepers.get(channel)
            if self.is_over(channel) or (keeper is not None and self.auditor.is_level(keeper)):
                self._behind.discard((number, channel))

    def is_over(self, channel: bytes) -> bool:
        return self.chain.channels[channel].phase == L1Phase.SETTLED

    def keepers(self) -> list[Keeper]:
        return [keeper for node in self.nodes for keeper in node.keepers.values()]

    def repair(self, node: Node) -> None:
        self.troubles.repair(node)

    # -- the chain --------------------------------------------------------------------------------------------------

    def open_channel(self, first: int, second: int) -> None:
        """Both hospitals agree to a new channel."""
        nodes = (self.nodes[first], self.nodes[second])
        hospitals, roots = (nodes[0].id, nodes[1].id), (nodes[0].root, nodes[1].root)
        channel = self.chain.open(
            hospitals, roots, self.opened, deposit=DEPOSIT, bond=BOND, window_ms=self.weather.window_ms
        )
        self.channels[channel] = (first, second)
        self.opened += 1
        self.want_block()

    def forget_channels(self) -> None:
        """Channels that are paid out, and that nobody keeps any more, leave the world: so it does not grow."""
        kept = {channel for node in self.nodes for channel in node.keepers}
        for channel in [channel for channel in self.channels if channel in self.chain.channels]:
            if self.is_over(channel) and channel not in kept:
                self.auditor.forget(channel)
                self.gossip.forget(channel)
                self.chain.forget(channel)
                del self.channels[channel]
                for node in self.nodes:
                    node.forget(channel)
                self._behind = {pair for pair in self._behind if pair[1] != channel}

    def want_block(self) -> None:
        """A block is due soon, for somebody waits."""
        due = max(self.now + 100, self.chain_paused_until)
        if self._block_due < self.now or due < self._block_due:
            self._block_due = due
            self.at(due, self._block, due)

    def heartbeat(self) -> None:
        if self.chain_paused_until <= self.now:
            self._make_block()
        self.after(HEARTBEAT_MS, self.heartbeat)

    def _block(self, due: int) -> None:
        if due == self._block_due:
            self._block_due = -1
            self._make_block()
        if self.chain.has_work:
            self.want_block()

    def _make_block(self) -> None:
        try:
            changed = self.chain.make_block(START_MS + self.now)
        except Violation:
            raise
        except AssertionError as wrong:
            raise Violation("credits are conserved", str(wrong)) from wrong
        tip, chain = self.chain.tip, self.chain
        self.note(f"block {tip.height} {tip.state.hex()[:16]}")
        for channel in changed:
            self.auditor.on_chain(self.chain.channels[channel])
        for node in self.nodes:
            node.roots.check()
        for node in self.nodes:
            self.after(self.delay(), node.hear, tip, not (changed or chain.keys_changed or chain.items(tip.height)))
        for tower in self.towers:
            if chain.items(tip.height) or tower.book.has_work:
                self.after(self.delay(), tower.hear)
        self.look_who_caught_up()

    # -- what is written down ---------------------------------------------------------------------------------------

    def note(self, what: str) -> None:
        """One line of history: it goes into the hash, and to whoever traces."""
        line = f"{self.now} {what}"
        self._hash.update(line.encode())
        if self._trace is not None:
            self._trace(line)

    def note_message(self, keeper: Keeper, send: Send) -> None:
        self.counts["messages"] += 1
        self._hash.update(b"%d %d %d" % (self.now, keeper.node.number, send.type))
        self._hash.update(send.payload[-72:])
        if self._trace is not None:
            channel = keeper.channel
            sizes = f"{channel.own.size}/{channel.peer.size}"
            self._trace(f"{self.now} {keeper.node.number} says {send.type} {len(send.payload)} B, holds {sizes}")

    def hash(self) -> str:
        return self._hash.hexdigest()
