"""A watchtower of the simulated world: what it decides is the product's own, what it asks and keeps is the world's.

As the real one it follows every block in its order, decides with its disk, and only then asks the chain. Its process
may end at any moment, its chain may be out of reach, its disk may fail, be lost or go back to an older copy.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from l1.ground.faults import Refused
from l1.ground.hashing import digest
from l1.rules.state import Channel
from l1.rules.touched import touched_by
from l1.rules.transactions import Action, Challenge, Settle, account_of
from l2.protocol.answer_proof import answer_prover
from l2.protocol.handover import Handed, peek_handover
from l2.tower.admission import Good, check_sender, keep, key_of, open_handed, peer_of
from l2.tower.judging import (
    Wanted,
    challenges_of,
    is_lost,
    judge,
    look_again,
    note_answered,
    note_asked,
    settle_later,
    wanted,
    watched_of,
)
from l2.tower.rows import Known, Stand
from tests.simulation.book import MemoryBook
from tests.simulation.genuine import SimKey

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Said", "Tower"]

SETTLE_AGAIN_MS = 60_000
DOWN_MS = (200, 15_000)
LOST_BY_THE_NODE = 0.05  # of what the chain's node takes, where windows leave time to ask again
LONG_WINDOW_MS = 100_000
SHELF = 3
STRETCHES = 64

Said = Callable[[dict[bytes, Refused]], None]
"""Which channels were refused and why; b"" stands for the whole handover."""


class Tower:
    """One process at a time, one disk, one account."""

    is_liar = False

    def __init__(self, world: "World", number: int) -> None:
        self.world, self.number = world, number
        self.key = SimKey(digest(b"tower %d" % number))
        self.account = account_of(self.key.public_key)
        self.book = MemoryBook()
        self.losses = 0  # of its disk
        self.shelf: list[MemoryBook] = []
        self.rows: dict[bytes, Channel] = {}  # as it read them last
        self.process = 0
        self.is_up = False
        self.out_until = 0  # the chain is out of reach until then
        self.write_fails = False
        self._is_taking = False  # a block is on its way to the disk
        self._is_asking = False
        self._awake_ms: list[tuple[int, int]] = []  # on the chain clock
        self._woke_ms = 0

    # -- a process begins and ends ----------------------------------------------------------------------------------

    def start(self) -> None:
        if self.is_up:
            return
        self.process += 1
        self.book.store = self.process  # [HAND-6] its disk may be another, or an older one
        self.is_up, self._is_taking, self._is_asking = True, False, False
        self._woke_ms = self.world.chain.tip.clock_ms
        if self.book.height is None:
            self.book.height = self.world.chain.tip.height
        self.hear()

    def crash(self) -> None:
        if self.is_up:
            self.is_up = False
            self._fell_asleep()
            self.world.after(self.world.rng.randint(*DOWN_MS), self.start)

    def lose_sight(self, until: int) -> None:
        """The chain is out of reach: it lags, and catches up block by block."""
        self.out_until = max(self.out_until, until)
        self._fell_asleep()
        self.world.at(until + 1, self._sees_again)

    def _sees_again(self) -> None:
        if self.out_until <= self.world.now:
            self._woke_ms = self.world.chain.tip.clock_ms
            self.hear()

    def lose_disk(self, copy: MemoryBook | None) -> None:
        """An operator puts an older copy in its place, or an empty one."""
        self.crash()
        self.losses += 1
        self.book = MemoryBook() if copy is None else copy.copy()

    def back_up(self) -> None:
        self.shelf = [*self.shelf[-SHELF + 1 :], self.book.copy()]

    def _fell_asleep(self) -> None:
        self._awake_ms = [*self._awake_ms[-STRETCHES:], (self._woke_ms, self.world.chain.tip.clock_ms)]

    def longest_awake_ms(self, since_ms: int, until_ms: int) -> int:
        """Its longest stretch of following the chain undisturbed, within a span of the chain clock."""
        now = [(self._woke_ms, until_ms)] if self.is_up and self.out_until <= self.world.now else []
        inside = [min(end, until_ms) - max(begin, since_ms) for begin, end in self._awake_ms + now]
        return max(inside, default=0)

    def _is(self, process: int) -> bool:
        return self.is_up and process == self.process

    # -- following --------------------------------------------------------------------------------------------------

    def hear(self) -> None:
        """There are blocks that it has not taken in, or time has passed."""
        if self.is_up and not self._is_taking and self.out_until <= self.world.now:
            self._take_all(self.process)

    def _take_all(self, process: int) -> None:
        """Blocks that concern nobody at once; each of the others with a write of its own, and then it goes on."""
        self._is_taking = False
        if not self._is(process) or self.out_until > self.world.now:
            return
        chain = self.world.chain
        assert self.book.height is not None
        while self.book.height < chain.tip.height:
            if chain.items(self.book.height + 1):
                self._is_taking = True
                pause = self.world.rng.randint(*self.world.weather.sync_ms)
                self.world.after(pause, self._take, process, self.book.height + 1)
                return
            self.book.height += 1
        self.act()

    def _take(self, process: int, height: int) -> None:
        """One block: decided and durable at once, or not at all."""
        if not self._is(process):
            return
        if self._write_fails():
            return
        chain, book = self.world.chain, self.book
        items = chain.items(height)
        touched = touched_by(items, chain.id)
        for hospital in sorted(touched.hospitals & book.known.keys()):
            self._renew(hospital)
        for key in watched_of(book, touched):
            self.rows[key[:32]] = chain.row(key[:32])
            judge(book, key, self.rows[key[:32]], height, self.account)
        ours = challenges_of(items, chain.id, self.key.public_key)
        if ours:
            prove = answer_prover(chain.signed_header(height), items)
            for index, key, size in ours:
                proof = prove(index)
                self.world.auditor.towers.answered(self, key, proof)
                note_answered(book, key, proof, size=size, height=height)
        book.height = height
        self._take_all(process)

    def _write_fails(self) -> bool:
        """The process ends with a disk that does not take what it must."""
        if self.write_fails:
            self.write_fails = False
            self.crash()
            return True
        return False

    def _find(self, hospital: bytes) -> Known:
        if hospital not in self.book.known:
            self.book.known[hospital] = self._read(hospital)
        return self.book.known[hospital]

    def _renew(self, hospital: bytes) -> None:
        """[HAND-5] Who has ended the watch is forgotten."""
        before, now = self.book.known[hospital], self._read(hospital)
        self.book.known[hospital] = now
        if now.reward is None and before.reward is not None:
            self.book.forget_hospital(hospital)

    def _read(self, hospital: bytes) -> Known:
        shares = self.world.chain.draft.get_towers(hospital)
        reward = next((each.reward for each in shares if each.tower == self.account), None)
        return Known(hospital=self.world.chain.hospital(hospital), reward=reward)

    # -- taking in --------------------------------------------------------------------------------------------------

    def take(self, data: bytes, said: Said) -> None:
        """A handover has come. Whoever handed it hears once it is durable; nothing from a process that is down."""
        if self.is_up:
            self.world.after(self.world.rng.randint(*self.world.weather.sync_ms), self._keep, self.process, data, said)

    def _keep(self, process: int, data: bytes, said: Said) -> None:
        if not self._is(process) or self._write_fails():
            return
        chain, book = self.world.chain, self.book
        refused: dict[bytes, Refused] = {}
        asks = False
        try:
            signed, handover = peek_handover(data)
            known = self._find(handover.hospital)
            check_sender(
                signed, handover, known, chain=chain.id, tower=self.account, clock_ms=chain.tip.clock_ms
            )  # fmt: skip
        except Refused as error:
            self.world.counts["handover refused"] += 1
            self.world.after(self.world.delay(), said, {b"": error})
            return
        for each in handover.handed:
            try:
                new = self._open(handover.hospital, each)
            except Refused as error:
                refused[each.channel] = error
            else:
                assert book.height is not None
                asks = keep(book, new, book.height, self.account) or asks
                self.world.auditor.towers.kept(self, new.key)
        self.world.counts["handed over"] += len(handover.handed) - len(refused)
        self.world.after(self.world.delay(), said, refused)
        if asks:
            self.act()

    def _open(self, hospital: bytes, handed: Handed) -> Good:
        key = key_of(handed)
        held = self.book.held(key)
        row = None if held is not None else self.world.chain.find_row(handed.channel)
        if row is not None:
            self.rows[handed.channel] = row
        peer = self._find(peer_of(hospital, key, held, row))
        return open_handed(hospital, handed, peer.hospital, chain=self.world.chain.id, row=row)

    # -- answering --------------------------------------------------------------------------------------------------

    def act(self) -> None:
        """Ask for what is wanted, look again for what was asked, settle what is due; one round at a time."""
        if not self._is_asking and self.book.has_work and self.is_up:
            self._is_asking = True
            self.world.after(self.world.delay(), self._act, self.process)

    def _act(self, process: int) -> None:
        if not self._is(process):
            return
        self._is_asking = False
        if self.out_until > self.world.now:
            return
        chain, book = self.world.chain, self.book
        height = chain.tip.height
        for key, answer, _ in list(wanted(book, Stand.ASKED)):
            if is_lost(answer, height):
                self.rows[key[:32]] = chain.row(key[:32])
                look_again(book, key, answer, self.rows[key[:32]], height, self.account)
        for one in list(wanted(book, Stand.WANTED)):
            self._challenge(one, height)
        clock_ms = chain.tip.clock_ms
        due = book.due(clock_ms)
        for channel in dict.fromkeys(key[8:40] for key in due):
            self._ask(Settle(channel=channel))
        for key in due:
            settle_later(book, key[8:], clock_ms + SETTLE_AGAIN_MS)

    def _challenge(self, one: Wanted, height: int) -> None:
        key, _, held = one
        refused = self._ask(Challenge(channel=key[:32], side=key[32], commitment=held.signed))
        note_asked(self.book, key, held.size, refused, height)

    def _ask(self, action: Action) -> Refused | None:
        """The chain's node takes it, and may lose it; or says at once why not."""
        world = self.world
        name = f"tower's {type(action).__name__}"
        world.auditor.towers.asked(self, action)
        refused = world.chain.check(self.key, action)
        if refused is not None:
            world.note(f"{name} {refused}")
            world.counts[f"{name} refused"] += 1
            return refused
        if world.weather.window_ms > LONG_WINDOW_MS and world.rng.random() < LOST_BY_THE_NODE:
            world.counts[f"{name} lost"] += 1
            return None

        def answer(refused: Refused | None) -> None:
            world.note(f"{name} {refused or 'taken'}")
            world.counts[f"{name} {'refused' if refused else 'taken'}"] += 1
            if refused is None:
                world.auditor.towers.taken(action)

        world.chain.ask(self.key, action, answer)
        world.want_block()
        return None
