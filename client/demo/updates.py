"""The demo's middle: updates at full speed while checkpoints settle, one entry proved, a kill in mid-stream.

Each scene takes the stage and the report, does one thing, and notes what it saw.
"""

from pathlib import Path

import msgspec
import trio

from client.demo.records import ANSWER_S, Stage
from client.demo.report import Report
from client.demo.workload import STAND_IN, Workload
from client.demo.world import Hospital, now_ms, wait_until
from client.driver import CUSTODIAN, RECIPIENT, Driver
from client.processes import run_once
from client.progress import Advance
from l1.ground.faults import LocalError, Refused
from l2.desk import words
from l2.protocol.proof_file import proof_from_json, proof_to_json
from l2.protocol.proofs import EntryProof

__all__ = ["a_crashes", "entry_is_proved", "updates_flow"]

CHUNK = 2_000
CHECKPOINT_EVERY_S = 0.7
CRASH_AFTER_UPDATES = 3_000
AFTER_CRASH_UPDATES = 1_000


def make_driver(stage: Stage, seed: int, chunk: int) -> Driver:
    workload = Workload(stage.encounters or [STAND_IN], seed, now_ms=now_ms())
    return Driver(stage.b.desk, stage.a.desk, stage.channel, workload, chunk=chunk)


async def updates_flow(stage: Stage, report: Report, advance: Advance, *, updates: int, seed: int) -> None:
    """Both hospitals write at full speed; A settles what both have signed, again and again."""
    driver = make_driver(stage, seed, min(CHUNK, max(1, updates // 8)))
    done = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_settle_meanwhile, stage, report, done)
        measured = await driver.run(updates, advance)
        done.set()
    await _settle(stage, report)
    report.updates = measured.updates
    report.updates_per_s = round(measured.updates_per_s)
    report.latency_ms = {"p50": round(measured.p50_ms, 2), "p99": round(measured.p99_ms, 2)}
    text = f"{measured.updates:,} acknowledged, {report.updates_per_s:,} a second"
    report.check("updates", measured.updates >= updates, text)
    row = await stage.world.reader.channel(bytes.fromhex(stage.channel))
    settled = [0, 0] if row is None else [side.settled.size for side in row.sides]
    text = f"{report.checkpoints}; L1 holds heads {settled[0]:,} and {settled[1]:,}"
    report.check("checkpoints", min(settled) > 0, text)


async def _settle_meanwhile(stage: Stage, report: Report, done: trio.Event) -> None:
    while not done.is_set():
        await _settle(stage, report)
        with trio.move_on_after(CHECKPOINT_EVERY_S):
            await done.wait()


async def _settle(stage: Stage, report: Report) -> None:
    try:
        await stage.a.desk.checkpoint(stage.channel)
        report.checkpoints += 1
    except LocalError:
        pass  # nothing new that both have signed: the last checkpoint has it all


async def entry_is_proved(stage: Stage, report: Report) -> None:
    """B proves one access; a process that has nothing but the genesis and a chain's URL checks the file."""
    index = await _newest_access(stage.b, stage.channel)
    content = await stage.b.desk.prove(words.Prove(channel=stage.channel, side="own", index=index))
    folder = stage.world.folder / "auditor"
    folder.mkdir()
    (folder / "proof.json").write_bytes(content)
    (folder / "tampered.json").write_text(_tamper(proof_from_json(content)))
    report.proof_verified = await _audit(stage, folder, "proof.json") == 0
    report.check(
        "proof accepted by an auditor", report.proof_verified, f"access entry {index:,} of B, {len(content):,} bytes"
    )
    report.tampered_proof_refused = await _audit(stage, folder, "tampered.json") == 1
    report.check("tampered proof refused", report.tampered_proof_refused, "one bit of the entry changed")


async def _newest_access(hospital: Hospital, channel: str) -> int:
    size = (await hospital.desk.channel(channel)).own.settled_size
    start = max(0, size - 200)
    entries = await hospital.desk.entries(channel, side="own", start=start, count=size - start)
    found = [int(entry["index"]) for entry in entries if entry["kind"] == "access"]
    if not found:
        raise LocalError("B's log has no access entry to prove", "Report this as a bug.")
    return found[-1]


def _tamper(proof: EntryProof) -> str:
    """The same proof with one bit of the entry's public part changed."""
    changed = bytearray(proof.public)
    changed[-1] ^= 1
    return proof_to_json(msgspec.structs.replace(proof, public=bytes(changed)))


async def _audit(stage: Stage, folder: Path, name: str) -> int:
    """The exit status of `interward audit verify` in a process of its own."""
    arguments = ["client", "audit", "verify", str(folder / name), "--genesis", str(stage.world.genesis_file)]
    arguments += ["--url", stage.world.chain.url]
    status, _ = await run_once(arguments, log=stage.world.log("auditor"), environment={}, folder=folder)
    return status


async def a_crashes(stage: Stage, report: Report, *, seed: int) -> Path:
    """A is killed while entries flow, and comes back. What either had acknowledged must be there. The folder is copied
    before the restart: the real older copy that A will abuse later."""
    driver = make_driver(stage, seed + 1, CHUNK // 4)
    await _kill_in_mid_stream(stage, driver)
    old = await trio.to_thread.run_sync(stage.a.copy, "A-older-copy")
    await stage.a.start()
    await _both_open(stage)
    view = await stage.a.desk.channel(stage.channel)
    lost_own = max(0, driver.acknowledged[CUSTODIAN] - view.own.size)
    lost_peer = max(0, driver.acknowledged[RECIPIENT] - view.theirs.size)
    report.crash_lost = lost_own + lost_peer
    held = f"{driver.acknowledged[CUSTODIAN]:,} own and {driver.acknowledged[RECIPIENT]:,} of B's"
    text = f"{held} acknowledged before SIGKILL; {view.own.size:,} and {view.theirs.size:,} there after it"
    report.check("crash loses nothing", report.crash_lost == 0, text)
    again = await make_driver(stage, seed + 2, CHUNK // 4).run(AFTER_CRASH_UPDATES)
    report.check("the channel goes on", again.updates >= AFTER_CRASH_UPDATES, f"{again.updates:,} more updates")
    return old


async def _kill_in_mid_stream(stage: Stage, driver: Driver) -> None:
    shot = trio.Event()

    async def drive() -> None:
        try:
            await driver.run(None)
        except* (Refused, LocalError) as group:
            # A's death breaks the requests to A, and only that is expected here.
            if not shot.is_set():
                raise group from None

    async def enough() -> bool:
        return driver.updates >= CRASH_AFTER_UPDATES

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drive)
        await wait_until("entries flow", enough, ANSWER_S)
        shot.set()
        await stage.a.node.kill()
        nursery.cancel_scope.cancel()
    await stage.a.close_desk()


async def _both_open(stage: Stage) -> None:
    async def is_open() -> bool:
        views = [await hospital.desk.channel(stage.channel) for hospital in (stage.a, stage.b)]
        return all(view.state == "open" and view.connected for view in views)

    await wait_until("the channel is open again at both hospitals", is_open, ANSWER_S)
