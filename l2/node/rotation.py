"""A key's life in a running hospital: made durable, registered on L1, used, and the older ones of its kind ended.

Every step can be taken again: what is in the keyring and not on L1 is registered, what L1 has and nobody uses is used.
So a crash at any instant leaves a state from which the same command, or the next start, goes on. Nothing stops for it:
old and new key count side by side until the new one is in use.
"""

from enum import Enum

import msgspec
import structlog
import trio

from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.limits import TIME_MS_MAX
from l1.ground.signing import Context, PrivateKey, Purpose, Signer, sign
from l1.rules import state as l1_state
from l1.rules.keys import counting_keys
from l1.rules.transactions import CHANNEL, KEY_KINDS, ROOT, SEALING, TLS, RegisterKey, RevokeKey
from l1.rules.transactions import key_words as words_of_key
from l2.desk import key_words
from l2.node.clock import now_ms
from l2.node.hospital import Hospital
from l2.node.keeper import Keeper
from l2.node.keys import StoredKey, Terms, key_state, make_key
from l2.node.lines import Lines
from l2.protocol.channel import Channel
from l2.protocol.events import AskCheckpoint, KeyOver, KeyReady
from l2.protocol.phases import Phase

__all__ = ["Rotation", "Stage", "stage_of"]

CHAIN_DEADLINE_S = 60.0
SWITCH_DEADLINE_S = 120.0  # ten quiet blocks, however slow, and then a channel switches anyway
LINES_DEADLINE_S = 10.0  # for lines to be made anew; one that is not is cut, and made again at once
LOOK_S = 0.1
RETIRE_DEADLINE_S = 10.0  # for a channel whose peer is not there; the next checkpoint of it does the same
ASK_AGAIN_S = 1.0
GO_ON_S = 30.0  # before what failed is tried again

log = structlog.get_logger()

_NAMES = {number: name for name, number in KEY_KINDS.items()}


class Stage(Enum):
    """How far a key of the keyring has come."""

    MADE = "made"  # durable here, unknown to L1
    WAITS = "waits"  # registered; a root key waits a window
    COUNTS = "counts"  # and older keys that it replaces count too
    DONE = "done"
    GONE = "gone"  # vetoed, revoked, ended: it will not be used again


def stage_of(key: StoredKey, registered: l1_state.Hospital, clock_ms: int) -> Stage:
    """Pure: what is left to do follows from the keyring, the registry and the chain clock."""
    found = _find(key, registered)
    if found is None:
        return Stage.MADE
    state = key_state(registered, found, clock_ms)
    if state not in ("waits", "counts"):
        return Stage.GONE
    if state == "waits":
        return Stage.WAITS
    return Stage.COUNTS if key.replaces and _older(found, registered, clock_ms) else Stage.DONE


def _find(key: StoredKey, registered: l1_state.Hospital) -> l1_state.Key | None:
    return next((one for one in registered.keys if one.kind == key.kind and one.key == key.public), None)


def _older(found: l1_state.Key, registered: l1_state.Hospital, clock_ms: int) -> list[l1_state.Key]:
    return [one for one in counting_keys(registered, found.kind, clock_ms) if one.number < found.number]


class Rotation:
    """All key changes of one hospital, one at a time."""

    def __init__(self, hospital: Hospital, lines: Lines) -> None:
        self._hospital, self._lines = hospital, lines
        self._busy = trio.Lock()
        self._changed = trio.Event()
        hospital.siblings.serve("uses key", self._uses_key)
        hospital.siblings.serve("retire older keys", self._retire_for_another)

    # -- what a block brings

    async def apply(self, height: int, clock_ms: int) -> None:
        """Use what may be used as of this block: tell channels and lines. Quick, and done again at every block."""
        hospital = self._hospital
        me = hospital.registry.get(hospital.id)
        if me is None:
            return
        signer_of = hospital.keys.channel_signers(me, clock_ms)
        for keeper in list(hospital.keepers.values()):
            if (row := keeper.channel.l1) is not None:  # else adopted a moment ago, by this registry
                await self._tell(keeper, signer_of(row.opened_at_ms), height)
        self._lines.identify(me, clock_ms)
        if self._unfinished(me, clock_ms):
            self._changed.set()

    async def _tell(self, keeper: Keeper, signing: tuple[int, Signer, int], height: int) -> None:
        """[ROT-2] Which key of ours signs in a channel from now on, or that none does."""
        number, signer, over = signing
        channel = keeper.channel
        if over > channel.over:
            await keeper.offer(KeyOver(over))
        if number > max(channel.me.key, over):
            await keeper.offer(KeyReady(signer, number, height))

    async def run(self) -> None:
        """Go on with what a crash, a window or an unreachable chain interrupted. Until cancelled; in one process of the
        hospital, for its keys are changed by one."""
        while self._hospital.part.is_first:
            await self._changed.wait()
            self._changed = trio.Event()
            try:
                async with self._busy:
                    for key in self._unfinished(self._hospital.me(), self._hospital.reader.tip.clock_ms):
                        await self._finish(key)
            except (LocalError, Refused) as why:
                log.warning("a key change waits", why=str(why))
                await trio.sleep(GO_ON_S)

    def _unfinished(self, me: l1_state.Hospital, clock_ms: int) -> list[StoredKey]:
        """Keys with something left to do now; a root key that waits has not."""
        left = (Stage.MADE, Stage.COUNTS)
        newest = [key for kind in KEY_KINDS.values() if (key := self._hospital.keys.newest(kind)) is not None]
        return [key for key in newest if stage_of(key, me, clock_ms) in left and not self._is_foreign(key, me)]

    @staticmethod
    def _is_foreign(key: StoredKey, me: l1_state.Hospital) -> bool:
        """A root key made for a recovery: it is the recovery key that registers it, not we."""
        return key.kind == ROOT and key.until_ms == 0 and _find(key, me) is None

    # -- commands

    async def rotate(self, kind: int, terms: Terms) -> key_words.Rotated:
        """Change the key of that kind; or go on with a change that has begun."""
        hospital = self._hospital
        async with self._busy:
            me, clock_ms = await self._registered(), hospital.reader.tip.clock_ms
            newest = hospital.keys.newest(kind)
            going = newest is not None and stage_of(newest, me, clock_ms) not in (Stage.DONE, Stage.GONE)
            key = newest if going and newest is not None and not self._is_foreign(newest, me) else None
            if key is None:
                key = make_key(kind, hospital.name, now_ms(), self._checked(kind, terms), hospital.keys.hsm)
                key = replace_until(key, terms.until_ms(clock_ms))
                await trio.to_thread.run_sync(hospital.keys.add, key)
                log.info("key made", kind=_NAMES[kind], key=key.public[:4].hex())
            return await self._finish(key)

    def _checked(self, kind: int, terms: Terms) -> Terms:
        """A root key that lies in an HSM does not move into a file unasked."""
        if kind == ROOT and self._hospital.keys.hsm is not None and not terms.hsm_key:
            raise LocalError("the root key lies in an HSM", "Name the label of the new one: --hsm-key LABEL.")
        return terms

    async def make_root(self) -> key_words.RootMade:
        """A root key for the recovery key to register: durable here first. Asked again, the same until it is used."""
        hospital = self._hospital
        async with self._busy:
            me = await self._registered()
            newest = hospital.keys.newest(ROOT)
            if newest is None or not self._is_foreign(newest, me):
                newest = replace_until(make_key(ROOT, hospital.name, now_ms(), Terms()), 0)
                await trio.to_thread.run_sync(hospital.keys.add, newest)
            signer = PrivateKey(newest.secret)
            said = words_of_key(hospital=hospital.id, kind=ROOT, key=signer.public_key)
            possession = sign(signer, Purpose.KEY, Context(chain=hospital.reader.chain), said)
            return key_words.RootMade(key=signer.public_key.hex(), possession=possession.hex())

    async def register(self, kind: int, key: bytes, possession: bytes) -> key_words.Registered:
        """Register a key that is held elsewhere: a recovery key."""
        async with self._busy:
            await self._register(kind, key, possession, TIME_MS_MAX)
            me = await self._registered()
            found = next(one for one in me.keys if one.kind == kind and one.key == key)
            return key_words.Registered(number=found.number, counts_from_ms=found.valid_from_ms)

    async def revoke(self, number: int, compromised_since_ms: int | None) -> key_words.Revoked:
        """End a key on L1. Done twice, it says when it was done."""
        async with self._busy:
            me = await self._registered()
            key = me.key(number)
            if key is None:
                raise LocalError(f"there is no key {number}", "See `interward hospital keys list`.")
            if key.revoked_at_ms is None:
                await self._revoke(number, compromised_since_ms)
                key = (await self._registered()).keys[number]
            assert key.revoked_at_ms is not None
            return key_words.Revoked(number=number, kind=_NAMES[key.kind], revoked_at_ms=key.revoked_at_ms)

    # -- steps

    async def _registered(self) -> l1_state.Hospital:
        """Our registry entry as of now, verified; the rest of the hospital sees it too."""
        await self._hospital.learn(self._hospital.id)
        return self._hospital.me()

    async def _finish(self, key: StoredKey) -> key_words.Rotated:
        hospital = self._hospital
        me = await self._registered()
        if _find(key, me) is None:
            await self._register(key.kind, key.public, self._possession(key), key.until_ms)
            me = await self._registered()
        found = _find(key, me)
        assert found is not None
        state = key_state(me, found, hospital.reader.tip.clock_ms)
        if state != "counts":
            return self._said(found, state, [])
        await self.apply(hospital.reader.tip.height, hospital.reader.tip.clock_ms)
        await self._wait_used(found)
        ended: list[int] = []
        if key.replaces:
            for old in _older(found, me, hospital.reader.tip.clock_ms):
                await self._revoke(old.number, None)
                ended.append(old.number)
            if ended:
                await self._registered()  # who asks for the keys once this has returned sees what it did
            if ended and key.kind == CHANNEL:
                await self._retire(found.number)
        return self._said(found, state, ended)

    def _said(self, found: l1_state.Key, state: str, ended: list[int]) -> key_words.Rotated:
        log.info("key", kind=_NAMES[found.kind], number=found.number, state=state, ended=ended)
        self._hospital.announce("key", b"", f"{_NAMES[found.kind]} key {found.number} {state}")
        return key_words.Rotated(
            kind=_NAMES[found.kind],
            number=found.number,
            key=found.key.hex(),
            state=state,
            counts_from_ms=found.valid_from_ms,
            until_ms=found.valid_until_ms,
            ended=ended,
        )

    def _possession(self, key: StoredKey) -> bytes | None:
        if key.kind in (TLS, SEALING):
            return None
        signer: Signer = self._hospital.keys.held(key)
        said = words_of_key(hospital=self._hospital.id, kind=key.kind, key=key.public)
        return sign(signer, Purpose.KEY, Context(chain=self._hospital.reader.chain), said)

    async def _register(self, kind: int, key: bytes, possession: bytes | None, until_ms: int) -> None:
        hospital = self._hospital
        action = RegisterKey(
            hospital=hospital.id, kind=kind, key=key, valid_from_ms=0, valid_until_ms=until_ms, possession=possession
        )
        try:
            await hospital.reader.send(hospital.root(), action, CHAIN_DEADLINE_S)
        except Refused as refused:
            if refused.fault is not Fault.ALREADY_DONE:
                raise  # the chain took it before a crash, and we had not heard of it

    async def _revoke(self, number: int, compromised_since_ms: int | None) -> None:
        hospital = self._hospital
        action = RevokeKey(hospital=hospital.id, number=number, compromised_since_ms=compromised_since_ms)
        try:
            await hospital.reader.send(hospital.root(), action, CHAIN_DEADLINE_S)
        except Refused as refused:
            if refused.fault is not Fault.ALREADY_DONE:
                raise

    async def _wait_used(self, found: l1_state.Key) -> None:
        """Until every open channel signs with it, and every line was made with it; lines that were not are cut soon."""
        if found.kind == CHANNEL:
            await self._wait(b"signs" + found.number.to_bytes(8, "big"), SWITCH_DEADLINE_S)
        if found.kind in (CHANNEL, TLS):
            await self._wait(b"lines", LINES_DEADLINE_S)

    async def _wait(self, what: bytes, deadline_s: float) -> None:
        with trio.move_on_after(deadline_s):
            while not await self._all_use(what):  # noqa: ASYNC110 - what changes it has no one place to notify from
                await trio.sleep(LOOK_S)

    async def _all_use(self, what: bytes) -> bool:
        """Here, and in the other workers: one that does not answer is not known to."""
        try:
            return self._is_used(what) and b"no" not in await self._hospital.siblings.ask_all("uses key", what)
        except LocalError:
            return False

    async def _uses_key(self, what: bytes) -> bytes:
        return b"yes" if self._is_used(what) else b"no"

    def _is_used(self, what: bytes) -> bool:
        if what == b"lines":
            return self._lines.all_use(self._lines.names)
        number = int.from_bytes(what.removeprefix(b"signs"), "big")
        return all(channel.me.key >= number for channel in self._open())

    def _open(self) -> list[Channel]:
        channels = [keeper.channel for keeper in self._hospital.keepers.values()]
        return [channel for channel in channels if channel.phase is Phase.OPEN]

    async def _retire(self, number: int) -> None:
        """A checkpoint under the new key starts the older keys' last window in every channel (KEY-6)."""
        await self._retire_here(number)
        try:
            await self._hospital.siblings.ask_all("retire older keys", number.to_bytes(8, "big"))
        except LocalError as why:
            log.warning("no checkpoints yet in another worker's channels", why=str(why))

    async def _retire_for_another(self, body: bytes) -> bytes:
        await self._retire_here(int.from_bytes(body, "big"))
        return b""

    async def _retire_here(self, number: int) -> None:
        for keeper in list(self._hospital.keepers.values()):
            with trio.move_on_after(RETIRE_DEADLINE_S):
                while not _is_retiring(keeper.channel, number):
                    try:
                        await keeper.ask(AskCheckpoint())
                    except LocalError as why:
                        log.debug("no checkpoint yet", channel=keeper.name, why=why.cause)
                    await trio.sleep(ASK_AGAIN_S)


def _is_retiring(channel: Channel, number: int) -> bool:
    row, signed = channel.l1, channel.own.signed
    if channel.phase is not Phase.OPEN or row is None or signed is None:
        return True  # nothing was signed here under any key
    return row.sides[channel.side].newest_key >= number


def replace_until(key: StoredKey, until_ms: int) -> StoredKey:
    """The key with another end. 0 marks a root key that a recovery key will register."""
    return msgspec.structs.replace(key, until_ms=until_ms)
