"""What happens to keys in a storm: operators rotate them and end them, thieves steal them, owners recover them."""

from typing import TYPE_CHECKING

from tests.simulation.node import Node

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["KeyTroubles"]

LOOK_MS = (3_000, 25_000)  # between two looks of an owner at its registry entry, far less than a key window


class KeyTroubles:
    """Every trouble is a method, and says whether it came about."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def begin(self) -> None:
        """Owners prepare, and look after their keys from then on, also in calm weather."""
        for node in self._world.nodes:
            node.roots.prepare()
            self._look(node)

    def _look(self, node: Node) -> None:
        """[ROT-2] A newest channel key that cannot sign stops the channels: its owner brings the next one day."""
        world = self._world
        node.roots.look()
        if node.ring.is_over() and (world.is_calm or world.rng.random() < 0.3):
            node.ring.rotate(needed=True)
        world.after(world.rng.randint(*LOOK_MS), self._look, node)

    def _a_node(self, *, honest: bool = False) -> Node | None:
        nodes = [node for node in self._world.nodes if node.is_up and not (honest and node.is_mallory)]
        return self._world.rng.choice(nodes) if nodes else None

    def rotate_key(self) -> bool:
        """Anybody's, Mallory's too."""
        node = self._a_node()
        return node is not None and node.ring.rotate()

    def end_older_keys(self) -> bool:
        node = self._a_node()
        return node is not None and node.ring.end_older()

    def end_newest_key(self) -> bool:
        """It may be stolen, and its operator ends it before there is another."""
        node = self._a_node()
        return node is not None and node.ring.end_newest()

    def rotate_root(self) -> bool:
        node = self._a_node()
        return node is not None and node.roots.rotate()

    def root_stolen(self) -> bool:
        node = self._a_node(honest=True)
        return node is not None and not node.is_away and node.roots.rob()

    def thief(self) -> bool:
        """Also with what has given way since: the chain refuses that."""
        robbed = [node for node in self._world.nodes if node.roots.was_robbed]
        return bool(robbed) and self._world.rng.choice(robbed).roots.misuse()
