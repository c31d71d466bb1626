"""The storm: every trouble comes again and again at random, and hospitals and operators go on with their work."""

from contextlib import suppress
from typing import TYPE_CHECKING

from l1.rules.state import Phase as L1Phase
from l1.rules.transactions import Deposit
from l2.protocol.events import Append, AskCheckpoint, AskClose
from l2.protocol.limits import STALE_MS
from l2.protocol.phases import Phase
from l2.protocol.rows import Damaged
from tests.simulation.disk import Copy
from tests.simulation.keeper import Keeper
from tests.simulation.key_troubles import KeyTroubles
from tests.simulation.node import Node
from tests.simulation.tower_troubles import TowerTroubles
from tests.simulation.workload import make_entries

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Troubles"]

QUEUED_MAX = 20_000  # entries that wait in one channel: whoever writes waits too
SHELF = 4  # backups that an operator keeps
FORTH_MS = (3_000, 20_000)  # for a start, a `resume` and a block
CHANNEL_ENTRIES = 100_000  # of both logs: then operators close the channel and open another
REOPEN_MS = 10_000


class Troubles:
    """Every trouble is a method, here or of towers or keys; its name in the weather has spaces and hyphens."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._towers, self._keys = TowerTroubles(world), KeyTroubles(world)
        self._tickets = 0

    def begin(self) -> None:
        world = self._world
        for name, pause in sorted(world.weather.troubles.items()):
            self._later(name, pause)
        for node in world.nodes:
            node.skew_ms = world.rng.randint(-world.weather.skew_ms, world.weather.skew_ms)
            node.start()
        self._towers.begin()
        self._keys.begin()
        for pair in world.topology.pairs:
            world.open_channel(*pair)
        world.after(world.weather.append_ms, self._append)
        world.after(REOPEN_MS, self._reopen)
        world.heartbeat()

    def _later(self, name: str, pause: int) -> None:
        world = self._world
        world.after(1 + int(world.rng.expovariate(1 / pause)), self._strike, name, pause)

    def _strike(self, name: str, pause: int) -> None:
        world = self._world
        if world.is_calm:
            return
        method = name.replace(" ", "_").replace("-", "_")
        strike = getattr(self._towers, method, None) or getattr(self._keys, method, None)
        strike = strike or getattr(self, "_" + method)
        if strike():
            world.counts[name] += 1
            world.note(name)
        self._later(name, pause)

    # -- work -------------------------------------------------------------------------------------------------------

    def _append(self) -> None:
        """Somebody writes, in one log of the world."""
        world = self._world
        keepers = world.keepers()
        if keepers and not world.is_calm:
            self.write(world.rng.choice(keepers))
        pause = max(1, world.weather.append_ms // max(1, len(keepers)))
        if not world.is_calm:
            world.after(world.rng.randint(1, 2 * pause), self._append)

    def write(self, keeper: Keeper) -> None:
        world, channel = self._world, keeper.channel
        if channel.queued > QUEUED_MAX or channel.phase is not Phase.OPEN:
            return
        weather = world.weather
        try:
            made = make_entries(world.rng, channel, keeper.node.clock_ms(), weather.append_entries, weather.fee)
        except Damaged as wrong:
            keeper.node.found_damage(keeper.id, wrong, "when an entry was drafted")
            return
        if made is not None:
            self._tickets += 1
            keeper.offer(Append(entries=made[0], terms=made[1], ticket=self._tickets))

    def _reopen(self) -> None:
        """Pairs whose channel is settled open another one."""
        world = self._world
        if world.is_calm:
            return
        for keeper in world.keepers():
            if keeper.channel.phase is Phase.FROZEN and not keeper.node.is_mallory:
                keeper.offer(AskClose(alone=True, lost=not keeper.channel.resumed))
        self._retire_long_logs()
        world.forget_channels()
        for pair in dict.fromkeys(world.topology.pairs):
            ids = [channel for channel, whose in world.channels.items() if whose == pair]
            is_home = not any(world.nodes[number].is_away for number in pair)
            if is_home and all(channel in world.chain.channels and world.is_over(channel) for channel in ids):
                world.open_channel(*pair)
        world.after(REOPEN_MS, self._reopen)

    def _retire_long_logs(self) -> None:
        """Operators close a channel whose logs have grown long, and open another: no world grows without end."""
        for keeper in self._world.keepers():
            channel = keeper.channel
            if channel.own.size + channel.peer.size > CHANNEL_ENTRIES and not keeper.node.is_mallory:
                keeper.offer(AskClose(alone=False, lost=False))

    # -- lines ------------------------------------------------------------------------------------------------------

    def _a_keeper(self, *, honest: bool = False) -> Keeper | None:
        keepers = [keeper for keeper in self._world.keepers() if not (honest and keeper.node.is_mallory)]
        return self._world.rng.choice(keepers) if keepers else None

    def _a_node(self) -> Node | None:
        nodes = [node for node in self._world.nodes if node.is_up and not node.is_mallory]
        return self._world.rng.choice(nodes) if nodes else None

    def _cut(self, *, half_open: bool = False) -> bool:
        keeper = self._a_keeper()
        if keeper is None or keeper.line is None:
            return False
        keeper.line.cut(half_open=half_open)
        return True

    def _half_open(self) -> bool:
        return self._cut(half_open=True)

    def _clog(self) -> bool:
        keeper, world = self._a_keeper(), self._world
        if keeper is None or keeper.line is None:
            return False
        keeper.line.clogged_until = world.now + world.rng.randint(100, 20_000)
        return True

    def _partition(self, *, one_way: bool = False) -> bool:
        world = self._world
        first, second = world.rng.sample(range(len(world.nodes)), 2)
        until = world.now + world.rng.randint(500, 30_000)
        world.block_way(first, second, until)
        if not one_way:
            world.block_way(second, first, until)
        return True

    def _one_way_partition(self) -> bool:
        return self._partition(one_way=True)

    # -- power, disks, clocks -----------------------------------------------------------------------------------------

    def _crash(self) -> bool:
        node = self._a_node()
        if node is None:
            return False
        node.crash()
        return True

    def _disk_full(self) -> bool:
        node = self._a_node()
        if node is None:
            return False
        node.disk.is_full = True
        self._world.after(self._world.rng.randint(100, 20_000), self._free, node)
        return True

    @staticmethod
    def _free(node: Node) -> None:
        node.disk.is_full = False

    def _failing_sync(self) -> bool:
        node = self._a_node()
        if node is None:
            return False
        node.sync_fails = True
        return True

    def _torn_write(self) -> bool:
        """The power fails in a sync, and the disk kept only some of its rows."""
        node, world = self._a_node(), self._world
        if node is None or not self.may_forget(node):
            return False
        hurt = node.tear()
        if hurt is None:
            return False
        node.suspect = hurt
        world.set_behind(node)
        return True

    def _damaged_row(self) -> bool:
        """A bit of a row turns over, while the hospital is down or under its feet."""
        node, world = self._a_node(), self._world
        if node is None or not self.may_forget(node):
            return False
        if world.rng.random() < 0.5:
            node.crash()
        hurt = node.disk.damage(world.rng)
        if hurt is not None:
            world.set_behind(node)
        return hurt is not None

    def _clock_jump(self) -> bool:
        node, world = self._a_node(), self._world
        if node is None:
            return False
        node.skew_ms = world.rng.choice(
            (-3_600_000, -400_000, -60_000, -1_000, 1_000, 60_000, 250_000, 400_000, 3_600_000)
        )
        world.after(world.rng.randint(5_000, 60_000), self._set_clock, node)
        return True

    @staticmethod
    def _set_clock(node: Node) -> None:
        node.skew_ms = 0

    def _chain_out_of_reach(self) -> bool:
        node, world = self._a_node(), self._world
        if node is None:
            return False
        node.chain_until = world.now + world.rng.randint(1_000, 60_000)
        world.at(node.chain_until + 1, node.hear_newest)
        return True

    def _chain_pause(self) -> bool:
        world = self._world
        world.chain_paused_until = world.now + world.rng.randint(1_000, 40_000)
        return True

    def _mallory(self) -> bool:
        mallory = self._world.mallory
        return mallory is not None and mallory.is_up and mallory.act()

    # -- operators --------------------------------------------------------------------------------------------------

    def may_forget(self, node: Node) -> bool:
        """At most one disk of a channel is behind at a time: what two hospitals both forgot, nobody knows."""
        world = self._world
        rows = [row for row in world.chain.channels.values() if row.phase != L1Phase.SETTLED]
        pairs = [(row.id, each) for row in rows if node.id in row.opening.hospitals for each in row.opening.hospitals]
        return not any(world.is_behind(world.node_of(each), channel) for channel, each in pairs if each != node.id)

    def repair(self, node: Node) -> None:
        """A start after a torn write: noticed, or not; then the operator restores what there is."""
        world, channel = self._world, node.suspect
        assert channel is not None
        node.suspect = None
        noticed = node.check_disk(channel)
        world.counts[f"torn write noticed by {noticed or 'nobody'}"] += 1
        self.replace(node, channel)

    def replace(self, node: Node, channel: bytes) -> None:
        """Rows that are known to be hurt give way to a copy, or to none."""
        shelf = [copy for copy in reversed(node.shelf) if channel in copy.channels and not copy.channels[channel].hurt]
        self._world.set_behind(node)
        node.disk.channels.pop(channel, None)
        if shelf and self._world.rng.random() < 0.5:
            node.disk.channels[channel] = shelf[0].channels[channel].copy()
            self._mark(node, shelf[0], {channel})
        self._world.auditor.restored(node)

    def examine(self, node: Node) -> None:
        """An operator has every row read: whatever is damaged is named."""
        for channel in [channel for channel in node.disk.channels if node.disk.is_hurt(channel)]:
            rows = node.disk.channels[channel]
            for key in sorted(rows.hurt):
                with suppress(Damaged):
                    rows.get(key)
                    self._world.auditor.violated("a damaged row is never a value", f"row {key.hex()}")
            self._world.counts["damaged row named when all was read"] += 1
            node.crash()
            self.replace(node, channel)

    def _backup(self) -> bool:
        node = self._a_node()
        if node is None:
            return False
        made = Copy(node.disk.copy(), frozenset(node.ring.keys), self._world.chain.tip.clock_ms)
        node.shelf = [*node.shelf[-SHELF + 1 :], made]
        return True

    def _restore_older(self) -> bool:
        node = self._a_node()
        if node is None or not node.shelf or not self.may_forget(node):
            return False
        self._restore(node, self._world.rng.choice(node.shelf))
        return True

    def _back_and_forth(self) -> bool:
        """A disk goes back, gives its peer a `resume` that the peer brings to the chain, and comes forth again: now it
        knows nothing of that, and holds the words that it made void [WATCH-5]."""
        keeper, world = self._a_keeper(honest=True), self._world
        older = [] if keeper is None else [copy for copy in keeper.node.shelf if keeper.id in copy.channels]
        if keeper is None or not older or not self.may_forget(keeper.node):
            return False
        node, peer = keeper.node, world.peer_of(keeper)
        newest = Copy(node.disk.copy(), frozenset(node.ring.keys), world.chain.tip.clock_ms)
        self._restore(node, older[0])
        node.shelf = [*node.shelf[-SHELF + 1 :], newest]
        peer.crash()
        peer.copies.add(keeper.id)  # its operator marks it so for once, and so it shows what it gets
        world.after(world.rng.randint(*FORTH_MS), self._forth, node, newest)
        return True

    def _forth(self, node: Node, newest: Copy) -> None:
        if node.is_up and self.may_forget(node) and not self._world.is_calm:
            self._restore(node, newest)
            self._world.counts["disk came forth again"] += 1

    def _restore_nothing(self) -> bool:
        node = self._a_node()
        if node is None or not self.may_forget(node):
            return False
        self._restore(node, Copy({}, frozenset(node.ring.keys), self._world.chain.tip.clock_ms))
        return True

    def _restore(self, node: Node, copy: Copy) -> None:
        """The rows, and at times the whole folder with its ring."""
        node.crash()
        node.disk.channels = {channel: rows.copy() for channel, rows in copy.channels.items()}
        self._mark(node, copy, set(copy.channels))
        if self._world.rng.random() < 0.5:
            node.ring.go_back(copy.keys)
        self._world.set_behind(node)
        self._world.auditor.restored(node)

    def _mark(self, node: Node, copy: Copy, channels: set[bytes]) -> None:
        """A backup is marked. A snapshot is not, and is found out by its age; one of a moment ago would not be."""
        is_old = self._world.chain.tip.clock_ms > copy.made_ms + STALE_MS
        if is_old and self._world.rng.random() < 0.5:
            node.copies -= channels
            self._world.counts["copy without a mark"] += bool(channels)
        else:
            node.copies |= channels
        self._world.auditor.permits.copied(node, channels)

    def _checkpoint(self) -> bool:
        keeper = self._a_keeper(honest=True)
        if keeper is None or not keeper.channel.resumed:
            return False
        keeper.offer(AskCheckpoint())
        return True

    def _words_shown(self) -> bool:
        """An auditor, or another hospital, shows somebody words of its peer that it came upon."""
        keeper, world = self._a_keeper(honest=True), self._world
        shown = [] if keeper is None else world.gossip.pick(keeper)
        for each in shown:
            assert keeper is not None
            keeper.offer(each)
        return bool(shown)

    def _deposit(self) -> bool:
        keeper, world = self._a_keeper(honest=True), self._world
        if keeper is None:
            return False
        world.chain.ask(keeper.node.key, Deposit(channel=keeper.id, amount=world.rng.randint(1, 100)))
        world.want_block()
        return True

    def _close_together(self) -> bool:
        return self._close(alone=False, lost=False)

    def _close_alone(self) -> bool:
        return self._close(alone=True, lost=False)

    def _close_lost(self) -> bool:
        return self._close(alone=True, lost=True)

    def _close(self, *, alone: bool, lost: bool) -> bool:
        """Who has not resumed doubts its disk: it closes lost."""
        keeper = self._a_keeper(honest=True)
        if keeper is None:
            return False
        keeper.offer(AskClose(alone=alone, lost=lost or (alone and not keeper.channel.resumed)))
        return True
