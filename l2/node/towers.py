"""A hospital's watchtowers: named on the chain, and handed the newest commitment of every peer, at a modest pace.

What is handed over is read from the disk, so it is durable; a channel's own task is never waited for nor slowed. A
tower that does not answer is asked again, later and later; meanwhile only the newest of each channel is what waits. It
knows URLs (in `towers.json`, for the chain need not tell a cheat whom to silence) and no record.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog
import trio

from l1.ground.faults import Fault, LocalError, Refused
from l1.rules.transactions import CHANNEL, Delegate
from l2.desk.watch_words import TowerView, TowerWanted
from l2.node.folder import TOWERS_FILE
from l2.node.hospital import Hospital
from l2.protocol.channel import Channel, stored_commitment
from l2.protocol.handover import NOTHING, Age, Handed, age_of, age_of_signed, sign_handover
from l2.protocol.limits import HANDED_MAX
from l2.protocol.phases import Phase
from l2.vigil import HandedOver, Watchtower

__all__ = ["Feed", "Towers"]

PACE_S = 0.5  # between handovers: many batches of a busy channel, and little to lose
LATER_S = 10.0  # a commitment that a tower did not take is offered again so much later
RETRY_S_MAX = 60.0
LOOK_S = 30.0  # between looks at whether a tower still has the disk that it had

log = structlog.get_logger()


class _Place(msgspec.Struct):
    """Where a tower is, as the file says it."""

    tower: str
    url: str


class Feed:
    """What one tower has been handed. `run` is its task."""

    def __init__(self, hospital: Hospital, tower: bytes, url: str) -> None:
        self.hospital, self.tower, self.url = hospital, tower, url
        self.given: dict[bytes, Age] = {}
        self.trouble = ""
        self.scope = trio.CancelScope()
        self._store = ""
        self._look_at_s = 0.0
        self._not_before: dict[bytes, float] = {}

    async def run(self) -> None:
        with self.scope:
            async with Watchtower(self.url) as asked:
                wait_s = PACE_S
                while True:
                    await trio.sleep(wait_s)
                    wait_s = PACE_S if await self._hand_over(asked) else min(2 * wait_s, RETRY_S_MAX)

    def behind(self) -> list[bytes]:
        """Channels of whose peers we hold newer words than the tower has."""
        return [
            keeper.channel.id
            for keeper in self.hospital.keepers.values()
            if keeper.channel.phase is not Phase.SETTLED
            and _age(keeper.channel) > self.given.get(keeper.channel.id, NOTHING)
        ]

    async def _hand_over(self, asked: Watchtower) -> bool:
        """Everything that is new, some hundreds at a time; False when the tower is in trouble."""
        now_s = trio.current_time()
        try:
            if now_s >= self._look_at_s:
                await self.look(asked)
                self._look_at_s = now_s + LOOK_S
            due = [channel for channel in self.behind() if self._not_before.get(channel, 0) <= now_s]
            for start in range(0, len(due), HANDED_MAX):
                await self._hand(asked, due[start : start + HANDED_MAX])
        except (LocalError, Refused) as error:
            self._note(str(error))
            return False
        if due:
            self._note("")
        return True

    async def look(self, asked: Watchtower) -> None:
        """[HAND-6] A tower that has started again may have another disk, or an older one: it is handed everything."""
        found = (await asked.status()).store
        if self._store not in ("", found):
            log.info("a tower started again", tower=self.tower[:4].hex(), url=self.url)
            self.given.clear()
        self._store = found

    async def _hand(self, asked: Watchtower, channels: Sequence[bytes]) -> None:
        hospital = self.hospital
        handed: list[Handed] = []
        for channel in channels:
            keeper = hospital.keeper(channel)
            signed = stored_commitment(hospital.store.rows(channel), 1 - keeper.channel.side)
            if signed is not None:
                handed.append(Handed(channel=channel, commitment=signed))
        if not handed:
            return
        signing = hospital.keys.signer(CHANNEL, hospital.me(), hospital.reader.tip.clock_ms)  # [HAND-1]
        if signing is None:
            raise LocalError("no channel key of this folder counts on L1", "interward hospital keys rotate channel")
        number, signer = signing
        handover = sign_handover(
            signer, number, chain=hospital.reader.chain, hospital=hospital.id, tower=self.tower, handed=handed
        )
        self._take_note(handed, await asked.hand_over(handover))

    def _take_note(self, handed: Sequence[Handed], said: HandedOver) -> None:
        later_s = trio.current_time() + LATER_S
        refused = {bytes.fromhex(each.channel): each for each in said.refused}
        for each in handed:
            if (why := refused.get(each.channel)) is None:
                self.given[each.channel] = age_of_signed(each.commitment)
                self._not_before.pop(each.channel, None)
            else:
                self._not_before[each.channel] = later_s
                log.warning("a tower did not take a commitment", channel=each.channel[:4].hex(), why=why.detail)

    def _note(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            say = log.warning if trouble else log.info
            say("watchtower", tower=self.tower[:4].hex(), url=self.url, trouble=trouble or "none")
            self.hospital.announce("watchtower", b"", trouble or f"{self.url} holds what we hold")


class Towers:
    """All of them. `run` is the task in which they are fed."""

    def __init__(self, hospital: Hospital) -> None:
        self._hospital = hospital
        self._path = hospital.folder.path / TOWERS_FILE
        self._feeds: dict[bytes, Feed] = {}
        self._nursery: trio.Nursery | None = None
        hospital.siblings.serve("look at the towers", self._look_for_another)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for place in _read(self._path):
                self._feed(bytes.fromhex(place.tower), place.url)
            task_status.started()
            await trio.sleep_forever()

    async def add(self, wanted: TowerWanted) -> TowerView:
        """Name a tower on the chain, and begin to hand over. Raises `LocalError`, `Refused`."""
        hospital = self._hospital
        async with Watchtower(wanted.url) as asked:
            status = await asked.status()
        if status.chain != hospital.reader.chain.hex():
            raise LocalError(f"the tower at {wanted.url} watches another chain", "Name one of this chain.")
        tower = bytes.fromhex(status.tower)
        action = Delegate(hospital=hospital.id, tower=tower, reward=wanted.reward_per_mille)
        await hospital.reader.send(hospital.root(), action)
        self._stop(tower)
        self._feed(tower, wanted.url)
        await self._write()
        return next(view for view in await self.views() if view.tower == status.tower)

    async def remove(self, tower: bytes) -> None:
        """End a tower's watch: on the chain first, so that it earns nothing any more."""
        hospital = self._hospital
        if all(each.tower != tower for each in await hospital.reader.towers(hospital.id)) and tower not in self._feeds:
            raise LocalError(f"{tower.hex()} is no watchtower of ours", "See `interward hospital tower list`.")
        try:
            await hospital.reader.send(hospital.root(), Delegate(hospital=hospital.id, tower=tower, reward=None))
        except Refused as refused:
            if refused.fault is not Fault.ALREADY_DONE:
                raise
        self._stop(tower)
        await self._write()

    async def views(self) -> list[TowerView]:
        """Every tower that the chain knows of, and what it has been handed. One without URL was named elsewhere."""
        hospital = self._hospital
        found = []
        for each in await hospital.reader.towers(hospital.id):
            feed = self._feeds.get(each.tower)
            found.append(
                TowerView(
                    tower=each.tower.hex(),
                    url="" if feed is None else feed.url,
                    reward_per_mille=each.reward,
                    since_ms=each.since_ms,
                    channels=0 if feed is None else len(feed.given),
                    behind=len(hospital.keepers) if feed is None else len(feed.behind()),
                    trouble="it is handed nothing: its URL is not known here" if feed is None else feed.trouble,
                )
            )
        return found

    def _feed(self, tower: bytes, url: str) -> None:
        assert self._nursery is not None, "the towers' task runs"
        self._feeds[tower] = Feed(self._hospital, tower, url)
        self._nursery.start_soon(self._feeds[tower].run)

    def _stop(self, tower: bytes) -> None:
        feed = self._feeds.pop(tower, None)
        if feed is not None:
            feed.scope.cancel()

    async def _look_for_another(self, _: bytes) -> bytes:
        """The file has changed: feed those that are in it."""
        places = {bytes.fromhex(place.tower): place.url for place in _read(self._path)}
        for tower in list(self._feeds):
            self._stop(tower)
        for tower, url in places.items():
            self._feed(tower, url)
        return b""

    async def _write(self) -> None:
        """The file is what a worker starts with: one that does not answer now will look then."""
        self._write_file()
        try:
            await self._hospital.siblings.ask_all("look at the towers")
        except LocalError as why:
            log.info("another worker has not heard of the towers yet", why=str(why))

    def _write_file(self) -> None:
        places = [_Place(tower=feed.tower.hex(), url=feed.url) for feed in self._feeds.values()]
        part = self._path.with_suffix(".part")
        with part.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(places)))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)


def _age(channel: Channel) -> Age:
    """Of the peer's newest words."""
    head = channel.peer
    return NOTHING if head.commitment is None or head.signed is None else age_of(head.commitment, head.signed.key)


def _read(path: Path) -> list[_Place]:
    """Raises `LocalError` for a file that cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[_Place])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        raise LocalError(
            f"{path} cannot be read ({error})", "Correct it, or delete it and add the towers again."
        ) from None
