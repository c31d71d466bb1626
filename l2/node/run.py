"""A hospital's process: it opens the folder, joins the parts, and keeps them going until it is told to stop.

Start in this order: lock, keys, stores, chain; then the channels (which resume), the lines, the desk. Whatever fails
later ends the process, for only what a new one reads from the disk can be believed.
"""

import gc
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import lmdb
import structlog
import trio
from trio.abc import Listener, Stream

from l1.ground.faults import Fault, LocalError, Refused
from l1.reader.backoff import Backoff
from l1.reader.client import Reader
from l1.reader.transport import ChainUnreachable
from l1.reader.turns import Turns
from l1.rules import state as l1_state
from l1.rules.blocks import Header
from l1.rules.keys import sealing_key_at
from l1.rules.log.entries import GrantTerms
from l1.rules.transactions import Reveal, Secret
from l1.serving.addresses import check_url, split_address
from l1.serving.listening import bind
from l2.link import Line
from l2.node.api import check_token, serve_desk
from l2.node.bodies import Bodies
from l2.node.clock import now_ms
from l2.node.exchange import Exchange
from l2.node.folder import BODIES, Config, Folder
from l2.node.hospital import Hospital
from l2.node.hub.arranging import arrange
from l2.node.keeper import Keeper
from l2.node.keys import KeyStore
from l2.node.lines import Lines
from l2.node.opening import answer_proposal
from l2.node.operations import Operations
from l2.node.parts import WHOLE, Part, store_of
from l2.node.siblings import Siblings
from l2.node.store import ChannelRows, ChannelStore
from l2.node.watcher import Watcher, channel_keys
from l2.protocol.channel import Channel, Me, load, new_rows
from l2.protocol.events import ChainRefused, Submit
from l2.protocol.rows import Damaged
from l2.protocol.stored import check_signed
from l2.records import release_secret
from l2.records.keys import channel_secret

__all__ = ["Doors", "at_work", "check_config", "listen", "make_hospital", "run_hospital", "running", "stop_on_signal"]

SUBMIT_DEADLINE_S = 60.0
SUBMIT_AGAIN_S = 1.0, 15.0  # pauses before a chain that does not answer is asked again
CHAIN_PATIENCE_S = 5.0  # for the chain to answer before the desk does
GC_YOUNG = 50_000  # containers made since the last young collection: some batches' worth, not every half batch
SWITCH_S = 0.00005

log = structlog.get_logger()


class Doors(NamedTuple):
    """Where a process is spoken to: what its lines come by, what peers are told, the desk's socket and its URL.
    `settled` hears of each stream that came and is known now, or came to nothing."""

    lines: Sequence[Listener[trio.SocketStream]]
    endpoint: str
    desk: socket.socket
    url: str
    settled: Callable[[Stream], None] = lambda _: None


OpenDoors = Callable[[Config], Awaitable[Doors]]


def make_hospital(
    folder: Folder, keys: KeyStore, reader: Reader, part: Part = WHOLE, siblings: Siblings | None = None
) -> Hospital:
    """The parts of a hospital, opened; nothing runs yet."""
    config = folder.config()
    return Hospital(
        id=keys.hospital,
        name=config.name,
        folder=folder,
        config=config,
        keys=keys,
        reader=reader,
        store=ChannelStore(folder.path / store_of(part.number)),
        bodies=Bodies(folder.path / BODIES, keys.record_key(), is_shared=part.workers > 1),
        part=part,
        siblings=siblings or Siblings(),
        is_copy=folder.is_copy(),
        started_ms=now_ms(),
        waiting=ChainUnreachable("the chain has not answered yet", "Look at its node, and at chain_url."),
    )


async def secret_of(hospital: Hospital, row: l1_state.Channel) -> bytes:
    """[KEY-15] The channel's secret: from both sealing keys in force when it opened; later keys do not change it."""
    side = row.opening.hospitals.index(hospital.id)
    other = row.opening.hospitals[1 - side]
    peer = hospital.registry.get(other) or await hospital.learn(other)  # as of the block that shows the row, or later
    assert peer is not None
    ours = sealing_key_at(hospital.me(), row.opened_at_ms)
    private = hospital.keys.sealing(ours.key)
    if private is None:
        cause = f"the folder lacks sealing key {ours.number}, which channel {row.id[:4].hex()}… opened with"
        raise LocalError(cause, "Restore keyring.box from a backup made after that key.")
    return channel_secret(private, sealing_key_at(peer, row.opened_at_ms).key, row.id)


class _Process:
    """The running parts."""

    def __init__(self, hospital: Hospital, nursery: trio.Nursery) -> None:
        self.hospital, self._nursery = hospital, nursery
        self.exchange = Exchange(hospital)
        certificate = hospital.folder.certificate(hospital.keys)
        self.lines = Lines(hospital, certificate, self._propose, self.exchange.serve_pulls_for)
        hospital.dial = self.lines.dial
        self.operations = Operations(hospital, self.lines)
        self.watcher = Watcher(hospital, self.adopt, self._keys_seen)

    async def _keys_seen(self, header: Header, *, keys_changed: bool) -> None:
        """Lines whose keys ended are cut, newer keys of ours are used, and lines are made anew with them."""
        await self.hospital.look_whether_still_a_copy()
        if keys_changed and not self.hospital.part.is_first:  # the first worker makes new keys
            await trio.to_thread.run_sync(self.hospital.keys.look_again)
        await self.operations.rotation.apply(header.height, header.clock_ms)
        await self.lines.cut_revoked(header.clock_ms)
        if keys_changed:
            await self.lines.look_again()

    async def _propose(self, line: Line, payload: bytes) -> None:
        await answer_proposal(self.hospital, line, payload)

    async def adopt(self, row: l1_state.Channel) -> Keeper:
        """Keep a channel that the chain shows: from its rows, or from none. Its task, and its line, start here."""
        hospital = self.hospital
        rows = hospital.store.rows(row.id)
        # A node of the chain that lags behind may show an old channel late; one that we agreed to ourselves is new.
        ours = row.id in hospital.agreed and row.opened_at > hospital.started_height
        unknown = rows.is_empty()
        if unknown:
            side = row.opening.hospitals.index(hospital.id)
            hospital.store.write(row.id, new_rows(row.opening, side))
        clock_ms = hospital.reader.tip.clock_ms
        number, signer, over = hospital.keys.channel_signer(hospital.me(), row.opened_at_ms, clock_ms)
        me = Me(signer, number, await secret_of(hospital, row))
        channel = self._load(rows, me, row, fresh=unknown and ours)
        channel.over, channel.is_copy = over, hospital.is_copy
        channel.batch_entries = hospital.config.batch_entries
        channel.key_window_ms = hospital.reader.genesis.parameters.key_window_ms
        keeper = Keeper(channel, {}, hospital.store, self._submit, self.watcher.clock.is_off)
        hospital.keepers[row.id] = keeper
        keeper.told.append(lambda kept, what, detail: hospital.announce(what, kept.channel.id, detail))
        keeper.secret_asked.append(self._reveal)
        self.exchange.attach(keeper)
        self._nursery.start_soon(keeper.run)
        if row.phase != l1_state.Phase.SETTLED:
            if channel.side == 0:
                self._nursery.start_soon(self.lines.keep_dialled, keeper)
            if hospital.config.checkpoint_s:
                self._nursery.start_soon(self._keep_settling, keeper)
        async with hospital.keeper_added:
            hospital.keeper_added.notify_all()
        return keeper

    def _load(self, rows: ChannelRows, me: Me, row: l1_state.Channel, *, fresh: bool) -> Channel:
        """Raises `Damaged`."""
        store, registry = self.hospital.store, self.hospital.registry
        try:
            channel = load(rows, me, self.hospital.reader.chain, fresh=fresh)
            first, second = (channel_keys(registry[one]) for one in row.opening.hospitals)
            channel.keys_ever = (first, second)
            check_signed(channel, channel.keys_ever)
        except (Refused, lmdb.Error) as error:
            raise Damaged(f"{store.path}: {error}") from None
        return channel

    def _reveal(self, keeper: Keeper, grant: int) -> None:
        """The chain demands the secret of one of our grants: show it there."""
        channel = keeper.channel
        _, terms = channel.readers[channel.side].entry(grant)
        assert isinstance(terms, GrantTerms)
        secret = release_secret(self.hospital.keys.release_seed(), channel.context.chain, channel.id, terms.key)
        action = Reveal(channel=channel.id, side=channel.side, grant=grant, answer=Secret(secret=secret))
        self._submit(keeper, Submit(action, f"the other hospital demands the secret of grant {grant}"))

    def _submit(self, keeper: Keeper, submit: Submit) -> None:
        self._nursery.start_soon(self._send, keeper, submit)

    async def _send(self, keeper: Keeper, submit: Submit) -> None:
        """Bring what a channel asks for to the chain. A refusal is news, not a failure: somebody else was first."""
        kind = type(submit.action).__name__
        log.info("to the chain", channel=keeper.name, action=kind, why=submit.why)
        pauses = Backoff(*SUBMIT_AGAIN_S)
        while True:
            try:
                included = await self.hospital.ask_chain(submit.action, SUBMIT_DEADLINE_S)
            except Refused as refused:
                if refused.fault is Fault.TOO_FEW_CREDITS:  # [FEE-7] A key's allowance comes back with its window.
                    log.warning("the fee cannot be paid", channel=keeper.name, action=kind, why=str(refused))
                    await pauses.wait()
                    continue
                log.info("the chain refused", channel=keeper.name, action=kind, why=str(refused))
                await keeper.offer(ChainRefused(kind, str(refused)))
                return
            except LocalError as error:
                log.warning("the chain does not answer", channel=keeper.name, action=kind, why=str(error))
                await pauses.wait()
            else:
                self.hospital.announce("on the chain", keeper.channel.id, f"{kind} in block {included.height}")
                return

    async def _keep_settling(self, keeper: Keeper) -> None:
        """Checkpoint new heads every so often."""
        while True:
            await trio.sleep(self.hospital.config.checkpoint_s)
            try:
                await self.operations.checkpoint(keeper.channel.id)
            except LocalError as error:
                log.debug("no checkpoint", channel=keeper.name, why=str(error))


async def run_hospital(folder: Folder, password: str) -> None:
    """Run until SIGINT or SIGTERM. Raises `LocalError` for what keeps it from starting or going on."""
    async with running(folder, password) as operations:
        hospital = operations.hospital
        ready = {"ready": True, "url": hospital.url, "endpoint": hospital.endpoint, "hospital": hospital.id.hex()}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await trio.sleep_forever()
    log.info("stopped")


@asynccontextmanager
async def running(folder: Folder, password: str) -> AsyncIterator[Operations]:
    """The hospital runs meanwhile, in this one process. A signal ends it, and whatever is done with it."""
    with folder.hold():
        keys = folder.keys(password, folder.pin())
        folder.genesis()
        check_config(folder)
        arrange(folder.path, WHOLE.workers)
        try:
            async with at_work(folder, keys, _open_doors) as operations:
                folder.say_url(operations.hospital.url)
                yield operations
        finally:
            folder.forget_url()


@asynccontextmanager
async def at_work(
    folder: Folder,
    keys: KeyStore,
    open_doors: OpenDoors,
    part: Part = WHOLE,
    siblings: Siblings | None = None,
    turns: Turns | None = None,
) -> AsyncIterator[Operations]:
    """A process of the hospital keeps its part of the channels meanwhile. A signal ends it."""
    reader = Reader(folder.genesis(), folder.config().chain_url, now_ms=now_ms, turns=turns)
    hospital = make_hospital(folder, keys, reader, part, siblings)
    try:
        async with reader, trio.open_nursery() as nursery:
            nursery.start_soon(stop_on_signal, nursery.cancel_scope)
            nursery.start_soon(_end_on_failure, hospital)
            yield await _serve(hospital, nursery, open_doors)
            nursery.cancel_scope.cancel()
    finally:
        hospital.bodies.close()
        hospital.store.close()


def check_config(folder: Folder) -> None:
    """What would only be missed later. Raises `LocalError`."""
    config = folder.config()
    for address in (config.listen, config.desk):
        split_address(address)
    check_url(config.chain_url)
    check_token(folder.token())


async def _serve(hospital: Hospital, nursery: trio.Nursery, open_doors: OpenDoors) -> Operations:
    _tune()
    nursery.start_soon(hospital.store.run)
    process = _Process(hospital, nursery)
    await nursery.start(process.exchange.run)
    nursery.start_soon(process.watcher.run)
    with trio.move_on_after(CHAIN_PATIENCE_S):
        await process.watcher.tried.wait()
    doors = await open_doors(hospital.config)
    hospital.endpoint, hospital.url = doors.endpoint, doors.url
    nursery.start_soon(process.lines.serve, doors.lines, doors.settled)
    nursery.start_soon(process.lines.keep_alive)
    await nursery.start(process.operations.towers.run)
    nursery.start_soon(process.operations.rotation.run)
    await nursery.start(_desk, process, doors.desk)
    return process.operations


async def _open_doors(config: Config) -> Doors:
    listeners, endpoint = await listen(config)
    desk, url = bind(*split_address(config.desk))
    return Doors(listeners, endpoint, desk, url)


def _tune() -> None:
    """What lives long is not searched for garbage again and again, and the committer's thread, which needs the
    interpreter for a moment at every row, gets it back at once (5 ms would be the default, for each of them)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_YOUNG, 20, 50)
    sys.setswitchinterval(SWITCH_S)


async def listen(config: Config) -> tuple[list[trio.SocketListener], str]:
    """Where other hospitals reach us, and what to tell them. Raises `LocalError` when the port is taken."""
    host, port = split_address(config.listen)
    try:
        listeners = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        cause = f"cannot listen on {host}:{port} ({error.strerror or error})"
        raise LocalError(cause, "Stop whoever uses the port, or change `listen` in hospital.toml.") from None
    bound = listeners[0].socket.getsockname()
    return listeners, f"{bound[0]}:{bound[1]}"


async def _desk(
    process: _Process, listener: socket.socket, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    await serve_desk(
        process.hospital,
        process.exchange,
        process.operations,
        listener=listener,
        token=process.hospital.folder.token(),
        task_status=task_status,
    )


async def _end_on_failure(hospital: Hospital) -> None:
    await hospital.failed.wait()
    assert hospital.failure is not None
    raise hospital.failure


async def stop_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            log.info("stopping", signal=signal.Signals(number).name)
            scope.cancel()
            return
