"""Events reach every desk that listens, and a slow one costs nobody anything."""

import json
from pathlib import Path

import pytest
import trio

from l1.ground.faults import LocalError
from l2.node.api.streams import INBOX_EVENTS_MAX, LISTENERS_MAX, Streams
from tests.unit.l2.node.api.world import open_world


async def test_a_desk_hears_what_happens(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        heard: list[str] = []
        async with world.desk() as desk:

            async def listen() -> None:
                async for text in desk.events():
                    heard.append(text)
                    nursery.cancel_scope.cancel()

            with trio.fail_after(10):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(listen)
                    while not world.hospital.listeners:
                        await trio.lowlevel.checkpoint()
                    world.hospital.announce("resumed", b"\x01" * 32, "this process may sign again")
                while world.hospital.listeners:  # who hung up is forgotten
                    await trio.lowlevel.checkpoint()
        event = {"what": "resumed", "channel": "01" * 32, "detail": "this process may sign again"}
        assert [json.loads(text) for text in heard] == [event]


async def test_a_stream_that_ends_is_forgotten(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        stream = Streams(world.hospital).listen()
        assert await anext(stream) == b": listening\n\n"
        world.hospital.announce("a", b"", "b")
        assert b'"what":"a"' in await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        assert world.hospital.listeners == []


async def test_a_slow_listener_is_told_and_let_go(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        stream = Streams(world.hospital).listen()
        await anext(stream)
        for number in range(INBOX_EVENTS_MAX + 5):
            world.hospital.announce("news", b"", str(number))
        assert world.hospital.listeners == []
        parts = [part async for part in stream]
        assert len(parts) == INBOX_EVENTS_MAX + 1
        assert parts[-1].startswith(b"event: lost\n")


async def test_listeners_are_counted(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        streams = Streams(world.hospital)
        opened = [streams.listen() for _ in range(LISTENERS_MAX)]
        for stream in opened:
            await anext(stream)
        with pytest.raises(LocalError, match="listen already"):
            streams.check_room()
        await opened[0].aclose()  # type: ignore[attr-defined]
        streams.check_room()
        for stream in opened[1:]:
            await stream.aclose()  # type: ignore[attr-defined]
