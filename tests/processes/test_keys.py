"""Keys of running hospitals: changed under load, finished after a crash, recovered by the recovery key."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from client.demo.world import Hospital, World, wait_until
from client.processes import run_once
from l1.ground.faults import LocalError
from l2.desk.key_words import Rotate
from tests.processes.hospitals import both_open, consents, open_channel, pair
from tests.processes.rotation import KINDS, busy_pair, lost, rotate_all

pytestmark = pytest.mark.slow

FAR_S = 60.0
RECOVERY = {"INTERWARD_RECOVERY_PASSWORD": "another horse"}


async def states(hospital: Hospital, kind: str) -> list[str]:
    return [key.state for key in await hospital.desk.keys() if key.kind == kind]


async def come_to(hospital: Hospital, kind: str, *expected: str) -> None:
    """Wait until the hospital's keys of that kind stand so: what others did on L1 is here a block later."""

    async def are_so() -> bool:
        return await states(hospital, kind) == [*expected]

    await wait_until(f"the {kind} keys are {expected}", are_so, FAR_S)


async def test_every_kind_of_key_changes_under_load_and_nothing_is_lost(tmp_path: Path) -> None:
    async with busy_pair(tmp_path, key_window_ms=1_000) as (a, b, load):
        found = await rotate_all(a, load, 0.3)
        sys.stdout.write(json.dumps(found) + "\n")
        assert [found[kind]["ended"] for kind in KINDS] == [[1], [2], [3], [0]]
        assert await lost(a, b, load) == 0
        assert min(load.acknowledged) > 0
        assert (await a.desk.status()).warnings == ()
        retired = await a.desk.affected(1)
        assert retired.state == "revoked"
        assert [(one.first, one.why) for one in retired.channels] == [(0, "signed here")]
        assert retired.commitments > 0
        channel = load.channel
        await load.stop()
        await a.stop()
        await a.start()
        await both_open(a, b, channel)
        await a.desk.append(channel, consents("later", 0, 10))
        assert (await b.desk.verify_log(channel)).ok


async def test_a_change_that_a_kill_interrupts_goes_on_by_itself(tmp_path: Path) -> None:
    async with pair(tmp_path) as (_, a, b):
        channel = await open_channel(a, b)
        await a.desk.append(channel, consents("before", 0, 10))
        for after_s, kind in ((0.0, "channel"), (0.05, "tls"), (0.2, "channel")):
            before = await states(a, kind)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_rotate_into_the_void, a, kind)
                await wait_until("the key is durable", lambda: _grew(a), FAR_S)
                await trio.sleep(after_s)
                await a.node.kill()
            await a.close_desk()
            await a.start()
            await both_open(a, b, channel)
            await come_to(a, kind, *("revoked" for _ in before), "counts")
            (a.folder / "seen").write_bytes(b"x" * (a.folder / "keyring.box").stat().st_size)
            await a.desk.append(channel, consents(f"after-{kind}-{after_s}", 0, 10))
        assert (await b.desk.verify_log(channel)).ok


async def _rotate_into_the_void(hospital: Hospital, kind: Any) -> None:
    with pytest.raises(LocalError):
        await hospital.desk.rotate(Rotate(kind=kind))


async def _grew(hospital: Hospital) -> bool:
    """Whether the keyring is larger than when it was last looked at."""
    await trio.lowlevel.checkpoint()
    seen = hospital.folder / "seen"
    ring = hospital.folder / "keyring.box"
    return ring.exists() and ring.stat().st_size > (seen.stat().st_size if seen.exists() else 0)


async def _keys(world: World, hospital: Hospital, *words: str, status: int = 0) -> Any:
    arguments = ["client", "hospital", "keys", *words, "--folder", str(hospital.folder), "--json"]
    log = world.log("keys")
    done, said = await run_once(arguments, log=log, environment=world.environment | RECOVERY)
    assert done == status, log.read_text()
    return json.loads(said)


async def test_the_recovery_key_vetoes_a_thiefs_root_key_and_brings_a_new_one(tmp_path: Path) -> None:
    async with pair(tmp_path, key_window_ms=10_000) as (world, a, _):
        safe = str(tmp_path / "recovery.key")
        made = await _keys(world, a, "recovery", safe)
        assert "recovery key 4, not made here" in "".join((await a.desk.status()).warnings)
        assert await _keys(world, a, "recovery", safe) == made  # asked twice, made once
        await come_to(a, "recovery", "counts")
        thief = await a.desk.rotate(Rotate(kind="root"))  # as if by whoever has the root key
        assert thief.state == "waits"
        await _keys(world, a, "veto", str(thief.number), "--recovery", safe)
        await come_to(a, "root", "counts", "vetoed")
        mine = await _keys(world, a, "recover", "--recovery", safe)
        await come_to(a, "root", "gave way", "vetoed", "counts")
        await a.desk.rotate(Rotate(kind="channel"))
        assert [key.by for key in await a.desk.keys()][-1] == mine["number"]
        assert await states(a, "channel") == ["revoked", "counts"]
