"""Getting channels back: from the peers and the chain, or from a copy of the folder.

From the peers: the hospital runs as it always does, and the protocol brings what is lacking (`resume`, `reconnect`);
this waits until it has, checks the outcome against our own signatures and the chain's settled heads, and says so.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb
import trio

from l1.ground.faults import Fault, LocalError, Refused, require
from l1.rules.commitment import decode_commitment
from l2.node.bodies import Bodies
from l2.node.folder import BODIES, Folder
from l2.node.hospital import Hospital
from l2.node.keeper import Keeper
from l2.node.operations import Operations
from l2.node.parts import CHANNELS, stores_in
from l2.node.run import running
from l2.node.store import ChannelStore
from l2.protocol.channel import Channel, commitment_at, decode_channel_row, decode_log_row
from l2.protocol.phases import Phase
from l2.protocol.rows import head_key, state_key

__all__ = ["frozen_outcome", "restore_from_backup", "restore_from_peers"]

LOOK_S = 0.25


def _say(**fields: Any) -> None:
    """One line of progress, as JSON."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


async def restore_from_peers(folder: Folder, password: str, wait_s: float) -> int:
    """0 once every channel is whole and verified; 1 if some are not after `wait_s`."""
    async with running(folder, password) as operations:
        hospital = operations.hospital
        said: dict[bytes, dict[str, Any]] = {}
        with trio.move_on_after(wait_s):
            while hospital.waiting is not None:  # noqa: ASYNC110 - looked at, as the progress is
                await trio.sleep(LOOK_S)
            hospital.me()
            while _tell(hospital, said) < len(hospital.keepers):  # noqa: ASYNC110 - progress is looked at, not awaited
                await trio.sleep(LOOK_S)
        hospital.me()
        ok = True
        for keeper in list(hospital.keepers.values()):
            found = await _outcome(operations, keeper)
            ok = ok and bool(found["ok"])
            _say(**(_progress(hospital, keeper) | found))
        _say(done=True, ok=ok, channels=len(hospital.keepers))
    return 0 if ok else 1


def _is_back(channel: Channel) -> bool:
    """Nothing of either log is lacking, and we may sign again; or nothing is signed in the channel any more."""
    if channel.phase is not Phase.OPEN:
        return True
    return channel.established and channel.resumed and channel.peer.size >= channel.peer_said


async def _outcome(operations: Operations, keeper: Keeper) -> dict[str, Any]:
    if keeper.channel.phase is Phase.FROZEN:
        return frozen_outcome(keeper.channel)
    if _is_back(keeper.channel):
        return await _verified(operations, keeper)
    return _lacking(operations.hospital, keeper)


def frozen_outcome(channel: Channel) -> dict[str, Any]:
    """What an operator is told of a channel that froze while it was restored, or before."""
    remedy = "Ask the peer's operators. A frozen channel does not thaw: interward channel close "
    # What a frozen channel holds of our log may be old: nobody has said that it is not.
    remedy += "--alone" if channel.resumed else "--lost, for nobody has said that our log is the newest"
    return {"ok": False, "state": "frozen", "why": f"it is frozen: {channel.row.reason}", "remedy": remedy}


def _progress(hospital: Hospital, keeper: Keeper) -> dict[str, Any]:
    channel = keeper.channel
    registered = hospital.registry.get(hospital.peer_of(keeper))
    settled = (0, 0) if channel.l1 is None else tuple(side.settled.size for side in channel.l1.sides)
    return {
        "channel": channel.id.hex(),
        "peer": "" if registered is None else registered.name,
        "state": "back" if _is_back(channel) else ("receiving" if channel.established else "waiting for the peer"),
        "phase": channel.phase.name.lower(),
        "own": channel.own.size,
        "theirs": channel.peer.size,
        "their_whole": max(channel.peer_said, channel.peer.size),
        "found_here": channel.loaded,
        "settled": [settled[channel.side], settled[1 - channel.side]],
    }


def _tell(hospital: Hospital, said: dict[bytes, dict[str, Any]]) -> int:
    """Say what has changed; how many channels are back."""
    for keeper in hospital.keepers.values():
        now = _progress(hospital, keeper)
        if said.get(keeper.channel.id) != now:
            said[keeper.channel.id] = now
            _say(**now)
    return sum(_is_back(keeper.channel) for keeper in hospital.keepers.values())


async def _verified(operations: Operations, keeper: Keeper) -> dict[str, Any]:
    """Both logs read again from entry 0, and the chain's settled heads among ours."""
    channel = keeper.channel
    again = await operations.verify_logs(channel.id)
    roots = {"roots": list(again.roots)}
    try:
        _check_settled(channel)
    except Refused as refused:
        return {"ok": False, "why": str(refused), **roots}
    return {"ok": again.ok, "why": "" if again.ok else "the logs do not hash or fold to what was signed", **roots}


def _check_settled(channel: Channel) -> None:
    """Raises `Refused` where the chain has settled a head that we do not hold."""
    if channel.l1 is None:
        return
    for side, on_chain in enumerate(channel.l1.sides):
        settled = on_chain.settled
        if settled.size == 0:
            continue
        require(channel.heads[side].size >= settled.size, Fault.LOG_GAP, f"{settled.size} entries are settled on L1")
        ours = commitment_at(channel, side, settled.size)
        if ours is not None:
            root = decode_commitment(ours.body).root
            require(root == settled.root, Fault.WRONG_ROOT, f"the head at {settled.size} is not the settled one")


def _lacking(hospital: Hospital, keeper: Keeper) -> dict[str, Any]:
    peer = hospital.registry.get(hospital.peer_of(keeper))
    who = "the peer" if peer is None else f"{peer.name} at {peer.endpoint}"
    why = f"{who} has not given back what is lacking"
    remedy = "Run this again once it can be reached; if it never will: interward channel close --lost"
    return {"ok": False, "why": why, "remedy": remedy}


# -- from a copy of the folder ---------------------------------------------------------------------------------------


def restore_from_backup(backup: Path, to: Folder, password: str) -> None:
    """Copy a backup into a new folder, once everything in it has been opened and read. Raises `LocalError`."""
    if to.path.exists() and any(to.path.iterdir()):
        raise LocalError(f"{to.path} is not empty", "Name a new folder; nothing was overwritten.")
    source = Folder(backup)
    if source.path.resolve() == to.path.resolve():
        raise LocalError("the backup and the new folder are the same", "Name a new folder.")
    try:
        shutil.copytree(
            backup, to.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("lock", "lock-*", "*-lock", "desk.url")
        )
        to.mark_copy()
        found = check_copy(to, password)
    except (LocalError, OSError, lmdb.Error) as error:
        shutil.rmtree(to.path, ignore_errors=True)
        cause = error.cause if isinstance(error, LocalError) else str(error)
        raise LocalError(f"the backup is not whole: {cause}", "Use another one; the new folder was removed.") from None
    for fields in found:
        _say(**fields)
    _say(done=True, ok=True, channels=len(found))


def check_copy(folder: Folder, password: str) -> list[dict[str, Any]]:
    """Open and read everything in a folder on which nothing runs. What is stored of each channel."""
    keys = folder.keys(password)
    folder.genesis(), folder.config(), folder.token(), folder.certificate(keys)
    bodies = Bodies(folder.path / BODIES, keys.record_key())
    try:
        bodies.records.count()
    finally:
        bodies.close()
    found: list[dict[str, Any]] = []
    for path in stores_in(folder.path).values() or [folder.path / CHANNELS]:
        store = ChannelStore(path)
        try:
            found += _stored(store)
        finally:
            store.close()
    return found


def _stored(store: ChannelStore) -> Iterator[dict[str, Any]]:
    for channel in store.channels():
        rows = store.rows(channel)
        try:
            state = decode_channel_row(rows.get(state_key()) or b"")
            heads = [decode_log_row(rows.get(head_key(side)) or b"") for side in (0, 1)]
            for head in heads:
                root = head.frontier.root()
                signed = head.commitment is None or decode_commitment(head.commitment.body).root == root
                require(signed, Fault.WRONG_ROOT, "the stored head is not what was signed")
        except Refused as refused:
            raise LocalError(f"channel {channel[:4].hex()}…: {refused}") from None
        own, theirs = heads[state.side], heads[1 - state.side]
        phase = Phase(state.phase).name.lower()
        yield {"channel": channel.hex(), "phase": phase, "own": own.frontier.size, "theirs": theirs.frontier.size}
