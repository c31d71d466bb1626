"""A hub of two workers, two peers and a chain, all as real processes: nothing that was acknowledged is lost, no channel
is ever in two processes, and whoever asks cannot tell it from a hospital of one."""

import json
import os
import re
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from client.demo.play import GIFT
from client.demo.world import Hospital, World, wait_until
from client.processes import run_once
from l1.ground.codes import RecordClass
from l1.ground.faults import Fault, LocalError, Refused
from l2.desk import words
from l2.desk.key_words import Rotate
from l2.desk.watch_words import TowerWanted
from l2.node.parts import Part, lock_of, stores_in
from tests.processes.hospitals import UNTIL_MS, both_open, consented, consents, fails, open_channel, run_arguments
from tests.processes.worlds import open_world

pytestmark = pytest.mark.slow

FAR_S = 60.0
WORKERS = 2
CLASSES = tuple(one.name for one in RecordClass)
NOBODYS = 99  # a descriptor that nobody has opened


@asynccontextmanager
async def hub_and_peers(folder: Path) -> AsyncIterator[tuple[World, Hospital, list[Hospital]]]:
    """A chain, a running hub, and two hospitals of one process each."""
    async with open_world(folder) as world:
        await world.found_chain(follower=False, key_window_ms=1_000)
        hub = await world.make_hospital("Hub", 10 * GIFT, "--workers", str(WORKERS))
        await hub.start()
        yield world, hub, [await world.add_hospital(name, 2 * GIFT) for name in ("B", "C")]


async def channels_with(hub: Hospital, peers: Sequence[Hospital]) -> dict[str, Hospital]:
    """Two channels with each peer, one from each side: the hub's own lie in both workers."""
    found: dict[str, Hospital] = {}
    for peer in peers:
        found[await open_channel(hub, peer)] = peer
        found[await open_channel(peer, hub)] = peer
    homes = {worker_of(channel) for channel in found}
    assert homes == set(range(WORKERS))
    return found


def worker_of(channel: str, workers: int = WORKERS) -> int:
    return next(number for number in range(workers) if Part(number, workers).keeps(bytes.fromhex(channel)))


async def all_open(hub: Hospital, channels: dict[str, Hospital]) -> None:
    for channel, peer in channels.items():
        await both_open(hub, peer, channel)


async def all_verify(hub: Hospital, channels: dict[str, Hospital], sizes: dict[str, int]) -> None:
    """Both hospitals hold the same logs, none shorter than what was acknowledged."""
    for channel, peer in channels.items():
        ours, theirs = await hub.desk.channel(channel), await peer.desk.channel(channel)
        assert (ours.own.root, ours.theirs.root) == (theirs.theirs.root, theirs.own.root)
        assert ours.own.size >= sizes[channel]
        assert (await hub.desk.verify_log(channel)).ok


class _Load:
    """Somebody who writes in every channel without a pause, as long as the hub lets him."""

    def __init__(self, hub: Hospital, channels: dict[str, Hospital]) -> None:
        self._hub, self._channels = hub, channels
        self.known = dict.fromkeys(channels, 0)
        self.refused: list[str] = []

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for channel in self._channels:
                nursery.start_soon(self._write, channel)

    async def _write(self, channel: str) -> None:
        number = 0
        while True:
            try:
                written = await self._hub.desk.append(channel, consents(f"load-{channel[:4]}", number, 50))
                self.known[channel] = max(self.known[channel], written.last + 1)
            except (LocalError, Refused) as error:
                self.refused.append(str(error))
                await trio.sleep(0.05)
            number += 50


async def kill_worker(hub: Hospital, number: int) -> None:
    before = (await hub.desk.status()).workers[number]
    os.kill(before.pid, signal.SIGKILL)

    async def is_back() -> bool:
        now = (await hub.desk.status()).workers[number]
        return now.pid != before.pid and now.state == "ready"

    await wait_until(f"worker {number} runs again", is_back, FAR_S)


async def test_a_killed_worker_comes_back_with_all_that_was_acknowledged(tmp_path: Path) -> None:
    async with hub_and_peers(tmp_path) as (world, hub, peers):
        channels = await channels_with(hub, peers)
        status = await hub.desk.status()
        assert (status.channels, [worker.state for worker in status.workers]) == (4, ["ready", "ready"])
        load = _Load(hub, channels)
        (hub.folder / "hospital.toml").write_text("half a line =")  # counts from the next start of the hub
        for number in (1, 0):
            untouched = [channel for channel in channels if worker_of(channel) != number]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(load.run)
                await wait_until("all write", partial(_grew, load, dict.fromkeys(channels, 0)), FAR_S)
                before = dict(load.known)
                await kill_worker(hub, number)
                assert all(load.known[channel] > before[channel] for channel in untouched)
                await wait_until("all write again", partial(_grew, load, before), FAR_S)
                nursery.cancel_scope.cancel()
            await all_open(hub, channels)
            await all_verify(hub, channels, load.known)
        assert [worker.restarts for worker in (await hub.desk.status()).workers] == [1, 1]
        assert any("worker 1" in why for why in load.refused)
        await hub.stop()
        assert hub.node.is_running is False
        assert await hub.node.stop() == 0
        said = world.log("Hub").read_text()
        assert "Traceback" not in said
        assert "error: " not in said


async def _grew(load: _Load, before: dict[str, int]) -> bool:
    return all(load.known[channel] > size for channel, size in before.items())


async def test_another_number_of_workers_finds_every_channel(tmp_path: Path) -> None:
    async with hub_and_peers(tmp_path) as (_, hub, peers):
        channels = await channels_with(hub, peers)
        sizes = dict.fromkeys(channels, 0)
        for number, workers in enumerate((3, 1, 2)):
            for channel, peer in channels.items():
                async with hub.desk.appending(channel) as stream:
                    sizes[channel] = (await stream.append(consents(f"{number}", 0, 30))).last + 1
                await peer.desk.append(channel, consents(f"peer {number}", 0, 30))
            await hub.stop()
            config = hub.folder / "hospital.toml"
            config.write_text(re.sub(r"workers = \d+", f"workers = {workers}", config.read_text()))
            await hub.start()
            await all_open(hub, channels)
            assert len((await hub.desk.status()).workers) == (workers if workers > 1 else 0)
            assert set(stores_in(hub.folder)) == {worker_of(channel, workers) for channel in channels} | {0} | set(
                range(workers)
            )
        await all_verify(hub, channels, sizes)


async def test_a_killed_front_takes_its_workers_along_and_nobody_runs_beside_them(tmp_path: Path) -> None:
    async with hub_and_peers(tmp_path) as (world, hub, peers):
        channels = await channels_with(hub, peers)
        known = {channel: (await hub.desk.append(channel, consents("x", 0, 20))).last + 1 for channel in channels}
        pids = [worker.pid for worker in (await hub.desk.status()).workers]
        os.kill(pids[1], signal.SIGSTOP)  # a worker that hangs, and so does not see that its front has gone
        try:
            await hub.kill()
            status, said = await trio.to_thread.run_sync(
                fails, run_arguments(hub.folder), world.environment["INTERWARD_PASSWORD"]
            )
        finally:
            os.kill(pids[1], signal.SIGCONT)  # then it sees, and ends
        assert status == 2
        assert "another process runs on" in said
        assert not (hub.folder / "desk.url").exists() or "url" not in said
        await hub.start()
        await all_open(hub, channels)
        await all_verify(hub, channels, known)
        assert not {worker.pid for worker in (await hub.desk.status()).workers} & set(pids)


async def test_a_worker_is_started_by_its_front_alone(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.found_chain(follower=False)
        hub = await world.make_hospital("Hub", GIFT, "--workers", "2")
        (hub.folder / lock_of(1)).touch()
        log = tmp_path / "worker.log"
        words_ = ["--folder", hub.folder, "--sockets", tmp_path, "--endpoint", "x", "--url", "x", "--number", 1]
        words_ += ["--workers", 2, "--end", NOBODYS, "--lock", NOBODYS]
        status, printed = await run_once(["l2.node", "work", *map(str, words_)], log=log, environment=world.environment)
        assert status == 2
        assert "error" in json.loads(printed)


def patient(name: str) -> bytes:
    return json.dumps({"resourceType": "Patient", "id": name, "birthDate": "1970-01-01"}).encode()


async def show(hospital: Hospital, record: str) -> bytes:
    return await hospital.desk.content(record, practitioner="dr", role="PHYSICIAN", purpose="TREAT")


async def test_records_exist_once_and_go_through_every_worker(tmp_path: Path) -> None:
    async with hub_and_peers(tmp_path) as (_, hub, peers):
        channels = await channels_with(hub, peers)
        content = patient("p1")
        added = await hub.desk.add_record(content, name="p1.json")
        assert (await hub.desk.add_record(content)).known
        news: list[str] = []
        async with trio.open_nursery() as nursery:

            async def listen() -> None:
                async for event in hub.desk.events():
                    news.append(event)

            nursery.start_soon(listen)
            fetched: dict[str, tuple[int, str]] = {}
            for channel, peer in channels.items():
                await consented(hub, channel, "p1", CLASSES)
                wanted = words.Share(channel=channel, purposes=("TREAT",), until_ms=UNTIL_MS - 1)
                (grant,) = (await hub.desk.share(added.record, wanted)).grants
                got = await peer.desk.fetch(channel, grant)
                assert await show(peer, got.record) == content
                fetched[channel] = (grant, got.record)
            await wait_until("all is told", lambda: _told(news, channels), FAR_S)
            nursery.cancel_scope.cancel()
        assert {grant.channel for channel in channels for grant in await hub.desk.grants(channel)} == set(channels)
        assert len(await hub.desk.consents()) == 4
        assert (await hub.desk.status()).records == 1
        await _peers_share_with_hub(hub, channels)
        erased = await hub.desk.erase(added.record)
        assert {copy.channel for copy in erased.copies} == set(channels)
        assert [copy.state for copy in erased.copies] == ["confirmed"] * 4
        for channel, peer in channels.items():
            assert (await peer.desk.records()) == [] or fetched[channel][1] not in {
                view.record for view in await peer.desk.records()
            }
        with pytest.raises(LocalError, match="there is no record"):
            await hub.desk.record(added.record)


async def _told(news: list[str], channels: dict[str, Hospital]) -> bool:
    return {json.loads(event)["channel"] for event in news} >= set(channels)


async def _peers_share_with_hub(hub: Hospital, channels: dict[str, Hospital]) -> None:
    """What comes in is opened where its channel is, and each opening is an entry there."""
    for number, (channel, peer) in enumerate(channels.items()):
        content = patient(f"theirs {number}")
        added = await peer.desk.add_record(content)
        await consented(peer, channel, f"theirs {number}", CLASSES)
        wanted = words.Share(channel=channel, purposes=("TREAT",), until_ms=UNTIL_MS - 1)
        (grant,) = (await peer.desk.share(added.record, wanted)).grants

        async def is_granted(channel: str = channel, grant: int = grant) -> bool:
            found = await hub.desk.grants(channel)
            return any(one.side == "peer" and one.index == grant for one in found)

        await wait_until("the grant is here", is_granted, FAR_S)
        got = await hub.desk.fetch(channel, grant)
        assert await show(hub, got.record) == content
        seen = [
            entry for entry in await hub.desk.audit_log(channel=channel, practitioner="dr") if entry["side"] == "own"
        ]
        assert [entry["kind"] for entry in seen] == ["access"]
    everywhere = await hub.desk.audit_log(practitioner="dr", side="own")
    assert {entry["channel"] for entry in everywhere} == set(channels)
    assert [entry["time_ms"] for entry in everywhere] == sorted(entry["time_ms"] for entry in everywhere)


async def test_requests_are_answered_for_patients_that_another_worker_learned(tmp_path: Path) -> None:
    """The first worker takes the record in; the request comes to the other."""
    async with open_world(tmp_path) as world:
        await world.found_chain(follower=False)
        hub = await world.make_hospital("Hub", 10 * GIFT, "--workers", "2", "--auto-grant")
        await hub.start()
        b = await world.add_hospital("B", 2 * GIFT)
        channels = [await open_channel(hub, b) for _ in range(2)]
        assert {worker_of(channel) for channel in channels} == {0, 1}
        await hub.desk.add_record(patient("p9"))
        for channel in channels:
            await consented(hub, channel, "p9", CLASSES)
            wanted = words.RecordWanted(
                channel=channel,
                patient="p9",
                purpose="TREAT",
                practitioner="dr",
                role="PHYSICIAN",
                classes=CLASSES,
                from_ms=0,
                to_ms=UNTIL_MS,
            )
            index = await b.desk.request(wanted)

            async def is_answered(channel: str = channel, index: int = index) -> bool:
                found = await b.desk.requests()
                return any((one.channel, one.index, one.answered) == (channel, index, "granted") for one in found)

            await wait_until("the request is granted", is_answered, FAR_S)


async def test_keys_towers_and_backups_are_the_whole_hubs(tmp_path: Path) -> None:
    async with hub_and_peers(tmp_path) as (world, hub, peers):
        channels = await channels_with(hub, peers)
        tower = await world.add_tower("T")
        for channel in channels:
            await hub.desk.append(channel, consents("x", 0, 20))
            await channels[channel].desk.append(channel, consents("y", 0, 20))
        await hub.desk.add_tower(TowerWanted(url=tower.url, reward_per_mille=100))

        async def is_watched() -> bool:
            (view,) = await hub.desk.towers()
            return (view.channels, view.behind, view.trouble) == (4, 0, "")

        await wait_until("the tower holds the words of all channels", is_watched, FAR_S)
        load = _Load(hub, channels)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load.run)
            for kind in ("channel", "tls", "root"):
                assert (await hub.desk.rotate(Rotate(kind=kind))).state in ("counts", "waits")
            nursery.cancel_scope.cancel()
        assert load.refused == []
        newest = max(key.number for key in await hub.desk.keys() if key.kind == "channel")
        affected = await hub.desk.affected(newest)
        assert {(one.channel, one.why) for one in affected.channels} == {(one, "signed here") for one in channels}
        await hub.desk.backup(tmp_path / "backup")
        assert set(stores_in(tmp_path / "backup")) == {0, 1}
        sizes = {channel: (await hub.desk.channel(channel)).own.size for channel in channels}
        await hub.stop()
        hub.folder.rename(tmp_path / "gone")
        await world.run(
            "restore", ["l2.node", "restore", "--folder", str(hub.folder), "--backup", str(tmp_path / "backup")]
        )
        await hub.start()
        await all_open(hub, channels)
        await all_verify(hub, channels, sizes)
        await wait_until("it is no copy any more", lambda: _is_no_copy(hub), FAR_S)
        examined = await world.run("doctor", ["l2.node", "doctor", "--folder", str(hub.folder)])
        assert json.loads(examined.splitlines()[-1])["ok"]


async def _is_no_copy(hub: Hospital) -> bool:
    return not await trio.Path(hub.folder / "copy").exists()


async def test_the_front_door_sends_nobody_astray(tmp_path: Path) -> None:
    """Whoever knocks without a word, or with another protocol, costs a place for some seconds and harms nobody."""
    async with hub_and_peers(tmp_path) as (_, hub, peers):
        host, port = hub.node.ready["endpoint"].rsplit(":", 1)
        silent = [socket.create_connection((host, int(port))) for _ in range(8)]
        for said in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x40\x00", b"\x16\x03\x01\x00\x10" + bytes(16), b"\0"):
            silent.append(socket.create_connection((host, int(port))))
            silent[-1].sendall(said)
        channels = await channels_with(hub, peers)
        for channel, peer in channels.items():
            assert (await peer.desk.append(channel, consents("x", 0, 10))).written == 10
        for one in silent:
            one.close()
        with pytest.raises(Refused) as refused:
            await hub.desk.channel("00" * 32)
        assert refused.value.fault is Fault.UNKNOWN_CHANNEL
