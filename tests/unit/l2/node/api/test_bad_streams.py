"""Append streams whose clients send what none sends, read nothing, or go away: it costs nobody else anything."""

import json
import random
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from l1.ground.faults import Fault
from l2.desk import words
from l2.desk.drafts import DRAFTS_BYTES_MAX, DRAFTS_MAX, UNDER_WAY_MAX, WithdrawDraft, encode_drafts
from tests.unit.l2.node.api.streams import (
    HANDSHAKE,
    closed_with,
    connected,
    drafts,
    frame,
    open_hospital,
    raw,
    shaken,
    soon,
    until,
)

__all__ = ["soon"]

pytestmark = pytest.mark.usefixtures("_soon")


@pytest.mark.parametrize(
    ("message", "code", "fault"),
    [
        (b"\xc0", 1007, Fault.MALFORMED),
        (b"", 1007, Fault.MALFORMED),
        (b"\x91\x92\x06\xcc\x01", 1007, Fault.NOT_CANONICAL),
        ("[]", 1003, Fault.MALFORMED),
        (encode_drafts([WithdrawDraft(1)] * (DRAFTS_MAX + 1)), 1009, Fault.TOO_LARGE),
        (bytes(DRAFTS_BYTES_MAX + 1), 1009, Fault.TOO_LARGE),
        (bytes(2 * DRAFTS_BYTES_MAX), 1009, Fault.TOO_LARGE),
    ],
)
async def test_what_no_client_sends_is_answered_and_ends_the_stream(
    tmp_path: Path, message: bytes | str, code: int, fault: Fault
) -> None:
    async with open_hospital(tmp_path) as (world, queue, desk):
        async with raw(desk, world.channel) as socket:
            await socket.send_message(drafts(1))
            await socket.send_message(message)
            await socket.send_message(drafts(2))
            assert json.loads(await socket.get_message())["first"] == 1
            assert json.loads(await socket.get_message())["error"]["number"] == fault
            assert (await closed_with(socket))[0] == code
        assert queue.queued == [1]
        async with desk.appending(world.channel) as stream:
            assert (await stream.append([WithdrawDraft(3)])).first == 3


async def test_beyond_what_may_be_under_way_nothing_is_read_until_answers_are_due(tmp_path: Path) -> None:
    async with open_hospital(tmp_path) as (world, queue, desk):
        queue.is_prompt = False
        async with raw(desk, world.channel) as socket:
            for number in range(2 * UNDER_WAY_MAX):
                await socket.send_message(drafts(number))
            await until(lambda: len(queue.queued) == UNDER_WAY_MAX)
            await wait_all_tasks_blocked()
            assert len(queue.queued) == UNDER_WAY_MAX
            queue.told[0].set()
            await socket.get_message()
            await until(lambda: len(queue.queued) == UNDER_WAY_MAX + 1)


async def send_for_ever(line: trio.SocketStream) -> None:
    while True:
        await line.send_all(frame(drafts(1)))


async def test_who_takes_no_answers_is_let_go_and_costs_nobody_anything(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_hospital(tmp_path) as (world, queue, desk):
        queue.refused = (words.RefusedDraft(position=0, reason="r" * 100_000),)
        async with shaken(desk, world.channel) as line:
            with pytest.raises(trio.BrokenResourceError):
                await send_for_ever(line)
        async with desk.appending(world.channel) as stream:
            queue.refused = ()
            assert (await stream.append([WithdrawDraft(3)])).first == 3
        await until(lambda: queue.open == 0)


async def test_what_was_queued_is_written_and_no_more_is_answered_once_a_client_has_gone(tmp_path: Path) -> None:
    async with open_hospital(tmp_path) as (world, queue, desk):
        queue.is_prompt = False
        async with shaken(desk, world.channel) as line:
            await line.send_all(frame(drafts(7)))
            await until(lambda: queue.queued == [7])
            assert queue.open == 1
        await until(lambda: queue.open == 0)


async def test_frames_before_the_handshake_is_over_leave_nothing_behind(tmp_path: Path) -> None:
    async with open_hospital(tmp_path) as (world, queue, desk):
        async with await connected(desk) as line:
            await line.send_all(HANDSHAKE.format(channel=world.channel).encode() + frame(drafts(1)))
            while await line.receive_some():
                pass
        await until(lambda: queue.open == 0)


async def test_whatever_a_client_sends_the_hospital_lives(tmp_path: Path) -> None:
    good = b"".join(frame(drafts(number)) for number in range(4)) + frame(b"\x03\xe8bye", 0x88)
    async with open_hospital(tmp_path) as (world, queue, desk):
        for seed in range(100):
            async with shaken(desk, world.channel) as line:
                with suppress(trio.BrokenResourceError):
                    await line.send_all(mutated(random.Random(seed), good))
                    await line.send_eof()
                    while await line.receive_some():
                        pass
            await until(lambda: queue.open == 0)
            async with desk.appending(world.channel) as stream:
                assert (await stream.append([WithdrawDraft(3)])).first == 3, seed


def mutated(chance: random.Random, good: bytes) -> bytes:
    if chance.random() < 0.2:
        return chance.randbytes(chance.randrange(1, 300))
    bad = bytearray(good)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(bad))
        match chance.randrange(3):
            case 0:
                bad[at] ^= 1 << chance.randrange(8)
            case 1:
                del bad[at : at + chance.randrange(1, 9)]
            case _:
                bad[at:at] = chance.randbytes(chance.randrange(1, 9))
    return bytes(bad)
