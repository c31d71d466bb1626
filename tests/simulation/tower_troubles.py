"""What happens to towers in a storm, and how long hospitals dare to be away because they have one."""

from typing import TYPE_CHECKING

from l1.rules.transactions import Delegate
from l2.tower.rows import side_key
from tests.simulation.feed import Feed
from tests.simulation.liar import Liar
from tests.simulation.node import Node
from tests.simulation.tower import Tower

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["TowerTroubles"]

NAMES_A_TOWER = 0.8
REWARDS = (0, 100, 500)  # per mille
ABSENCE_WINDOWS = (1.1, 2.5)  # how long an absence is, in challenge windows


class TowerTroubles:
    """Every trouble is a method, and says whether it came about."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def begin(self) -> None:
        """Towers start, and most hospitals name them."""
        world = self._world
        for tower in world.towers:
            tower.start()
            for node in world.nodes:
                if world.rng.random() < NAMES_A_TOWER:
                    self._name(node, tower, world.rng.choice(REWARDS))

    def _name(self, node: Node, tower: Tower, reward: int | None) -> None:
        """Name a tower on the chain, or end its watch (None)."""
        world = self._world
        world.chain.ask(node.root, Delegate(hospital=node.id, tower=tower.account, reward=reward))
        world.want_block()
        node.feeds = [feed for feed in node.feeds if feed.tower is not tower]
        node.named = [each for each in node.named if each is not tower]
        if reward is not None:
            node.named.append(tower)
            node.feeds += [Feed(node, tower)] if node.is_up else []

    def _a_tower(self) -> Tower | None:
        towers = self._world.towers
        return self._world.rng.choice(towers) if towers else None

    def tower_crash(self) -> bool:
        tower = self._a_tower()
        if tower is not None:
            tower.crash()
        return tower is not None

    def tower_lags(self) -> bool:
        tower, world = self._a_tower(), self._world
        if tower is not None:
            tower.lose_sight(world.now + world.rng.randint(1_000, world.weather.window_ms // 4))
        return tower is not None

    def tower_disk_fails(self) -> bool:
        tower = self._a_tower()
        if tower is not None:
            tower.write_fails = True
        return tower is not None

    def tower_backup(self) -> bool:
        tower = self._a_tower()
        if tower is not None:
            tower.back_up()
        return tower is not None

    def tower_restored(self) -> bool:
        """Its disk is lost: an older copy takes its place, or none."""
        tower = self._a_tower()
        if tower is not None:
            tower.lose_disk(self._world.rng.choice([None, *tower.shelf]))
        return tower is not None

    def tower_lies(self) -> bool:
        return any(tower.lie() for tower in self._world.towers if isinstance(tower, Liar))

    def tower_changed(self) -> bool:
        """A hospital ends a watch, or names a tower."""
        tower, node = self._a_tower(), self._a_node()
        if tower is None or node is None:
            return False
        self._name(node, tower, None if tower in node.named else REWARDS[1])
        return True

    def long_absence(self) -> bool:
        """Longer than a challenge window, which only a hospital with a tower can afford."""
        node, world = self._a_node(), self._world
        if node is None or not self._is_watched(node) or node.roots.is_robbed:
            return False
        node.leave(int(world.weather.window_ms * world.rng.uniform(*ABSENCE_WINDOWS)))
        return True

    @staticmethod
    def _is_watched(node: Node) -> bool:
        """Whether a tower holds what it needs to answer for it in every channel."""
        keys = [side_key(keeper.id, 1 - keeper.side) for keeper in node.keepers.values() if keeper.channel.peer.size]
        named = [tower for tower in node.named if not tower.is_liar]
        return bool(keys) and all(any(tower.book.held(key) for tower in named) for key in keys)

    def _a_node(self) -> Node | None:
        nodes = [node for node in self._world.nodes if node.is_up and not node.is_mallory]
        return self._world.rng.choice(nodes) if nodes else None
