"""A hospital of the simulated world: one process at a time, one disk, one clock, and the chain as it hears of it.

What the real shell does around the core is done here in the same order: group what waits into one sync, then speak;
adopt what the chain shows; bring to the chain what the core asks for, until it answers.
"""

import traceback
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from l1.ground.faults import LocalError, Refused
from l1.ground.hashing import digest
from l1.ground.limits import CLOCK_SKEW_MS_MAX
from l1.rules.blocks import Header
from l1.rules.published import published_in
from l1.rules.state import Channel as L1Channel
from l1.rules.state import Phase as L1Phase
from l1.rules.transactions import account_of
from l2.protocol.channel import Me, new_rows
from l2.protocol.events import BlockSeen, Effect, MessageReceived, Send, Submit, Tick, WordsSeen
from l2.protocol.rows import Damaged, state_key
from l2.protocol.stored import check_signed
from tests.simulation.auditor import Violation
from tests.simulation.chain import KEY_WINDOW_MS, START_MS
from tests.simulation.disk import Copy, Disk
from tests.simulation.feed import Feed
from tests.simulation.genuine import SimKey
from tests.simulation.keeper import Keeper
from tests.simulation.keyring import KeyRing
from tests.simulation.repair import is_hurt
from tests.simulation.roots import Roots

if TYPE_CHECKING:
    from tests.simulation.tower import Tower
    from tests.simulation.world import World

__all__ = ["Node"]

TICK_MS = 2_000
FOREVER_MS = 2**62

_Waiting = tuple[Keeper, Sequence[tuple[bytes, bytes]], list[Effect]]


class Node:
    """Process, disk and operator's shelf of one hospital. `process` counts its processes; dead ones do nothing."""

    is_mallory = False

    def __init__(self, world: "World", number: int) -> None:
        self.world, self.number = world, number
        self.roots = Roots(self)
        self.id = account_of(self.roots.first.public_key)
        self.disk = Disk()
        self.ring = KeyRing(self)
        self.shelf: list[Copy] = []
        self.keepers: dict[bytes, Keeper] = {}
        self.process = 0
        self.is_up = False
        self.height = -1
        self.started_height = -1
        self.skew_ms = 0
        self.chain_ms, self.heard_at = 0, -1  # the time of the newest block, and when it came
        self.chain_until = 0  # the chain is out of reach until then
        self.suspect: bytes | None = None  # a channel whose rows were torn while we were down
        self.sync_fails = False
        self.named: list[Tower] = []  # its towers
        self.feeds: list[Feed] = []
        self.away_until = 0  # longer than a window, perhaps
        self.away_ms = (0, 0)  # when it was away last, on the chain clock
        self.copies: set[bytes] = set()  # channels whose rows came out of a backup: the folder says so
        self._waiting: deque[_Waiting] = deque()
        self._syncing: list[_Waiting] = []

    @property
    def key(self) -> SimKey:
        """What asks the chain now in a channel's affairs."""
        return self.ring.acting()

    @property
    def root(self) -> SimKey:
        return self.roots.signing()

    def me(self, channel: bytes) -> Me:
        number, key, _ = self.ring.signs(self.world.chain.channels[channel])
        return Me(key, number, digest(b"secret" + channel))

    def clock_ms(self) -> int:
        return START_MS + self.world.now + self.skew_ms

    def clock_is_off(self) -> bool:
        """As the real clock tells: against the newest block, carried on by a clock that nobody sets."""
        chain_ms = self.chain_ms + self.world.now - self.heard_at
        return abs(chain_ms - self.clock_ms()) > CLOCK_SKEW_MS_MAX

    # -- a process begins and ends ----------------------------------------------------------------------------------

    def start(self) -> None:
        """A new process, which first reads the chain; without it, it waits."""
        if self.is_up:
            return
        world = self.world
        not_before = max(self.chain_until, self.away_until)
        if not_before > world.now:
            world.at(not_before + 100, self.start)
            return
        if self.is_away:
            self.away_until, self.away_ms = 0, (self.away_ms[0], world.chain.tip.clock_ms)
        if self.suspect is not None:
            self.world.repair(self)
        self.process += 1
        self.is_up = True
        self.height = self.started_height = world.chain.tip.height
        self._look(world.chain.tip, everything=True)
        self.feeds = [Feed(self, tower) for tower in self.named]
        world.after(TICK_MS, self._tick, self.process)

    def crash(self) -> None:
        """Power is gone: what was not synced is gone too; peers may not notice for a long while."""
        if not self.is_up:
            return
        world = self.world
        if self._syncing and world.rng.random() < 0.5:  # the sync had just come to its end
            self.disk.write([(keeper.id, rows) for keeper, rows, _ in self._syncing])
        self.is_up = False
        keepers, self.keepers = list(self.keepers.values()), {}
        self._waiting.clear()
        self._syncing = []
        world.auditor.crashed(self)
        for keeper in keepers:
            if keeper.line is not None:
                keeper.line.ends[keeper.side] = None
                keeper.line.cut(half_open=world.rng.random() < 0.3)
        world.after(world.rng.randint(200, 15_000), self.start)

    def leave(self, pause_ms: int) -> None:
        """Away for long: only its towers watch."""
        if not self.is_away:
            self.away_ms = (self.world.chain.tip.clock_ms, FOREVER_MS)
        self.away_until = self.world.now + pause_ms
        self.crash()

    @property
    def is_away(self) -> bool:
        return self.away_ms[1] == FOREVER_MS

    def awake_ms(self, since_ms: int, until_ms: int) -> int:
        """For how long, within a span of the chain clock, it was not away at a stretch; crashes are short."""
        left_ms, back_ms = self.away_ms
        return max(min(left_ms, until_ms) - since_ms, until_ms - max(back_ms, since_ms))

    def tear(self) -> bytes | None:
        """The power fails in the middle of a sync, on a disk that lies. The channel that is hurt, if any is."""
        group = [(keeper.id, rows) for keeper, rows, _ in self._syncing]
        if not group:
            return None
        self._syncing = []
        hurt = self.disk.tear(group, self.world.rng)
        if hurt is not None:
            self.world.set_behind(self)
        self.crash()
        return hurt

    def threw(self, keeper: Keeper, error: Exception) -> None:
        """The core raised where it never may."""
        trace = "".join(traceback.format_exception(error)[-3:])
        self.world.auditor.violated("the core never throws", f"hospital {self.number}: {trace}")

    def _tick(self, process: int) -> None:
        if process == self.process and self.is_up:
            for keeper in self.keepers.values():
                if keeper.channel.held:
                    keeper.offer(Tick())
            self.world.after(TICK_MS, self._tick, process)

    # -- the disk ---------------------------------------------------------------------------------------------------

    def commit(self, keeper: Keeper, rows: Sequence[tuple[bytes, bytes]], effects: list[Effect]) -> None:
        if not rows:
            keeper.carry_out(effects)
            return
        self._waiting.append((keeper, rows, effects))
        self._sync()

    def _sync(self) -> None:
        if not self._syncing and self._waiting:
            self._syncing, self._waiting = list(self._waiting), deque()
            self.world.after(self.world.rng.randint(*self.world.weather.sync_ms), self._synced, self.process)

    def _synced(self, process: int) -> None:
        if process != self.process or not self.is_up:
            return
        world = self.world
        if self.sync_fails or self.disk.is_full:  # nothing of the group is written, and the process ends
            world.counts["stopped by its disk"] += 1
            self.sync_fails = False
            self.crash()
            return
        group, self._syncing = self._syncing, []
        if world.power_fails(self):
            return
        self.disk.write([(keeper.id, rows) for keeper, rows, _ in group])
        world.counts["syncs"] += 1
        for feed in self.feeds:
            feed.wake()
        for keeper, _, effects in group:
            if keeper.is_alive():
                keeper.carry_out(effects)
        self._sync()

    # -- the chain --------------------------------------------------------------------------------------------------

    def hear(self, header: Header, quiet: bool) -> None:
        """A header has come. One that is older than what we know is none."""
        if not self.is_up or header.height <= self.height:
            return
        if self.chain_until > self.world.now:
            self.world.at(self.chain_until + 50, self.hear_newest)
            return
        everything, before = not quiet or header.height > self.height + 1, self.height
        self.height = header.height
        self._look(header, everything=everything)
        self._tell_words(before)

    def hear_newest(self) -> None:
        self.hear(self.world.chain.tip, quiet=False)

    def _look(self, header: Header, *, everything: bool) -> None:
        self.chain_ms, self.heard_at = header.time_ms, self.world.now
        off = self.clock_is_off()
        if everything:
            for row in self.world.chain.channels.values():
                if self.id in row.opening.hospitals and row.id not in self.keepers:
                    self._adopt(row)
                if not self.is_up:
                    return  # its rows are damaged, and the process has ended over them
        for keeper in list(self.keepers.values()):
            row_now = self.world.chain.channels[keeper.id] if everything else None
            if row_now is not None:
                self.ring.tell(keeper, row_now, header.height)
            keeper.offer(BlockSeen(header.height, header.clock_ms, row_now, off))

    def _tell_words(self, before: int) -> None:
        """What the blocks since then show of the peers' words, as the real watcher tells it."""
        chain = self.world.chain
        for height in range(before + 1, self.height + 1):
            items = chain.items(height)
            for words in published_in(items, chain.id, self.keepers) if items else ():
                self.keepers[words.channel].offer(WordsSeen(words.signed, words.shown))

    def _adopt(self, row: L1Channel) -> None:
        """Keep a channel that the chain shows: from its rows, or from none."""
        if row.phase == L1Phase.SETTLED:
            return
        rows = self.disk.rows(row.id)
        is_new = state_key() not in rows
        if is_new:
            rows.put(new_rows(row.opening, row.opening.hospitals.index(self.id)))
        fresh = is_new and row.opened_at > self.started_height
        try:
            channel = self.world.core.load(rows, self.me(row.id), self.world.chain.id, fresh=fresh)
            channel.keys_ever = self.world.keys_ever(row)
            check_signed(channel, channel.keys_ever)
        except Damaged as wrong:
            self.found_damage(row.id, wrong, "at a start")
            return
        except (AssertionError, LookupError, Refused) as wrong:
            raise Violation("a start reads what was written", f"hospital {self.number}: {wrong!r}") from wrong
        if channel.id != row.id:
            raise Violation("a start reads what was written", f"hospital {self.number}: another channel's row")
        channel.over, channel.is_copy = self.ring.signs(row)[2], row.id in self.copies
        channel.key_window_ms = KEY_WINDOW_MS
        channel.batch_entries = self.world.weather.batch_entries
        keeper = Keeper(self, channel)
        self.keepers[row.id] = keeper
        keeper.dial_later()

    def found_damage(self, channel: bytes, wrong: Damaged, when: str) -> None:
        """The product named a damaged row: its process ends, and the operator replaces the rows."""
        if not self.disk.is_hurt(channel):
            raise Violation("only damage is called so", f"hospital {self.number}: {wrong}")
        self.world.counts[f"damaged row named {when}"] += 1
        self.world.set_behind(self)
        self.crash()
        self.world.troubles.replace(self, channel)

    def doubt(self, keeper: Keeper) -> None:
        """The peer says what does not fit our disk. An operator who restored an old copy has it all from the peer."""
        self.world.counts["doubts"] += 1
        if self.world.is_behind(self, keeper.id):
            self.world.after(self.world.rng.randint(1_000, 10_000), self._restore_from_peer, self.process, keeper.id)

    def _restore_from_peer(self, process: int, channel: bytes) -> None:
        if process == self.process and self.is_up:
            self.world.counts["restored from the peer"] += 1
            self.crash()
            self.world.set_behind(self)
            self.disk.channels.pop(channel, None)
            self.world.auditor.restored(self)

    def forget(self, channel: bytes) -> None:
        """A channel that is over, on the disk and in every copy of it."""
        for rows in (self.disk.channels, *(copy.channels for copy in self.shelf)):
            rows.pop(channel, None)
        self.copies.discard(channel)

    def retire(self, keeper: Keeper) -> None:
        """A settled channel needs nobody any more."""
        self.world.auditor.retired(keeper)
        del self.keepers[keeper.id]
        if keeper.line is not None:
            keeper.line.notice(keeper.side)
            keeper.line.cut(half_open=False)

    def say(self, keeper: Keeper, send: Send) -> None:
        """What an honest process says is what its core says."""
        self.world.auditor.said(keeper, send)
        self.world.gossip.overhear(keeper, send)
        keeper.post(MessageReceived(int(send.type), send.payload))

    def heard(self, keeper: Keeper, message: MessageReceived) -> None:
        """A message has come, and goes on to the core."""

    def submit(self, keeper: Keeper, submit: Submit) -> None:
        self.world.auditor.submitted(keeper, submit)
        self.bring(submit)

    def bring(self, submit: Submit) -> None:
        self.world.after(self.world.delay(), self._bring, self.process, submit)

    def _bring(self, process: int, submit: Submit) -> None:
        """As long as this process lives; a refusal is news, not a failure."""
        if process != self.process or not self.is_up:
            return
        if self.chain_until > self.world.now:
            self.world.after(1_000, self._bring, process, submit)
            return
        world, kind = self.world, type(submit.action).__name__

        def answer(refused: Refused | None) -> None:
            world.note(f"{self.number} {kind} {refused or 'taken'}")
            world.counts[f"{kind} {'refused' if refused else 'taken'}"] += 1

        world.chain.ask(self.key, submit.action, answer)
        world.want_block()

    def check_disk(self, channel: bytes) -> str | None:
        """What a start, or reading both logs again, would notice of a channel's rows (None: nothing)."""
        try:
            return is_hurt(self.disk.rows(channel), self.me(channel), self.world.chain.id)
        except LocalError:
            return "a start"
