"""The append stream: answered as a POST is, in the order of the messages; nothing that a client does outlasts him."""

import json
import socket
from pathlib import Path

import msgspec
import pytest
import trio
from trio_websocket import ConnectionRejected

from l1.ground.faults import Fault, LocalError, Refused
from l2.desk.desk import Desk
from l2.desk.drafts import WithdrawDraft
from l2.node.api import appending
from l2.protocol.phases import Phase
from tests.unit.l2.node.api.streams import (
    closed_with,
    drafts,
    open_hospital,
    raw,
    soon,
    until,
)
from tests.unit.l2.node.api.world import TOKEN

__all__ = ["soon"]

pytestmark = pytest.mark.usefixtures("_soon")


async def test_answers_come_in_the_order_of_the_messages(tmp_path: Path) -> None:
    async with open_hospital(tmp_path) as (world, queue, desk):
        queue.is_prompt = False
        async with raw(desk, world.channel) as socket:
            for number in range(5):
                await socket.send_message(drafts(number))
            while len(queue.queued) < 5:
                await trio.lowlevel.checkpoint()
            for number in reversed(range(5)):
                queue.told[number].set()
            answers = [json.loads(await socket.get_message())["first"] for _ in range(5)]
        assert queue.queued == answers == [0, 1, 2, 3, 4]
        assert queue.waits == {"receipt"}


async def test_many_tasks_append_at_once_and_each_gets_its_own_answer(tmp_path: Path) -> None:
    async with open_hospital(tmp_path) as (world, queue, desk):
        found: dict[int, int] = {}

        async def append(number: int) -> None:
            found[number] = (await stream.append([WithdrawDraft(number)])).first

        async with desk.appending(world.channel, wait="durable") as stream, trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(append, number)
        assert found == {number: number for number in range(200)}
        assert queue.waits == {"durable"}


async def test_who_gives_up_waiting_takes_nobodys_answer(tmp_path: Path) -> None:
    async with open_hospital(tmp_path) as (world, queue, desk):
        queue.is_prompt = False
        async with desk.appending(world.channel) as stream:
            with trio.move_on_after(1) as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(stream.append, [WithdrawDraft(1)])
                    while not queue.queued:
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
            queue.told[1].set()
            queue.is_prompt = True
            assert (await stream.append([WithdrawDraft(2)])).first == 2


async def test_a_refused_append_does_not_end_the_stream(tmp_path: Path) -> None:
    async with open_hospital(tmp_path) as (world, queue, desk):
        queue.errors[1] = LocalError("the channel closes", "wait")
        queue.errors[2] = Refused(Fault.NOT_GRANTED, "it was withdrawn")
        queue.errors[3] = OSError("no space")
        queue.errors[4] = ZeroDivisionError()
        async with desk.appending(world.channel) as stream:
            for number, kind, why in (
                (1, LocalError, "the channel closes"),
                (2, Refused, "it was withdrawn"),
                (3, LocalError, "no space"),
                (4, LocalError, "failed inside"),
            ):
                with pytest.raises(kind, match=why):
                    await stream.append([WithdrawDraft(number)])
            assert (await stream.append([WithdrawDraft(5)])).first == 5


@pytest.mark.parametrize(
    ("channel", "query", "token", "status"),
    [
        (None, "", "wrong", 401),
        ("00" * 32, "", TOKEN, 404),
        ("xyz", "", TOKEN, 400),
        (None, "?wait=never", TOKEN, 400),
    ],
)
async def test_before_it_is_open_a_stream_is_refused_as_a_post_is(
    tmp_path: Path, channel: str | None, query: str, token: str, status: int
) -> None:
    async with open_hospital(tmp_path) as (world, _, desk):
        with pytest.raises(ConnectionRejected) as rejected:
            async with raw(desk, channel or world.channel, query, token):
                pass
        assert rejected.value.status_code == status
        posted = await desk._http.post(
            f"/v1/channels/{channel or world.channel}/entries{query}",
            content=drafts(1),
            headers={"authorization": f"Bearer {token}"},
        )
        assert (posted.status_code, posted.content) == (status, rejected.value.body)


async def test_a_hospital_that_stops_says_so(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        async with open_hospital(tmp_path) as (world, queue, desk):
            queue.is_prompt = False
            opened, ended = trio.Event(), trio.Event()

            async def ask() -> None:
                async with desk.appending(world.channel) as stream:
                    opened.set()
                    with pytest.raises(LocalError, match=r"the hospital stops.*Read the log"):
                        await stream.append([WithdrawDraft(1)])
                    with pytest.raises(LocalError, match="none of these entries is written"):
                        await stream.append([WithdrawDraft(2)])
                ended.set()

            nursery.start_soon(ask)
            await opened.wait()
            await until(lambda: queue.queued == [1])
        await ended.wait()


async def test_a_channel_that_is_settled_ends_its_streams(tmp_path: Path) -> None:
    async with open_hospital(tmp_path) as (world, _, desk):
        keeper = world.hospital.keepers[world.pair.channels[0].id]
        async with raw(desk, world.channel) as socket:
            await socket.send_message(drafts(1))
            await socket.get_message()
            keeper.channel.row = msgspec.structs.replace(keeper.channel.row, phase=Phase.SETTLED)
            keeper._tell("phase", "paid out")
            assert await closed_with(socket) == (1000, "the channel is settled")
        await until(lambda: keeper.told == [])


async def test_streams_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appending, "STREAMS_MAX", 1)
    async with open_hospital(tmp_path) as (world, queue, desk):
        async with desk.appending(world.channel):
            with pytest.raises(LocalError, match="open already"):
                async with desk.appending(world.channel):
                    pass
        await until(lambda: queue.open == 0)
        async with desk.appending(world.channel):
            pass


async def test_what_is_raised_in_a_stream_is_raised_as_it_is(tmp_path: Path) -> None:
    async with open_hospital(tmp_path) as (world, _, desk):
        for error in (ZeroDivisionError(), OSError("mine"), Refused(Fault.CLOCK, "mine")):
            with pytest.raises(type(error)):
                async with desk.appending(world.channel):
                    raise error


async def test_nobody_there_is_said_plainly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with Desk(f"http://127.0.0.1:{port}", "t") as desk:
        with pytest.raises(LocalError, match="no hospital answers"):
            async with desk.appending("ab" * 32):
                pass
