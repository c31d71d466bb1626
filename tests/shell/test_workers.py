"""The workers of a hub as processes: what they say, how they end, and a machine that gives none."""

import io
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from l1.ground.faults import LocalError
from l2.node.folder import Begun, Config, Folder
from l2.node.hub import workers as module
from l2.node.hub.front import place_for_sockets
from l2.node.hub.worker import TURN_S, Secrets, read_secrets, turn_of
from l2.node.hub.workers import Workers

FAR_S = 60.0
READY = "import sys, json, time; print(json.dumps({'ready': True}), flush=True); "
SECRETS = Secrets("ab" * 32, "1234", Begun(Config(name="Hub", chain_url="http://x"), "a token"))
HANG = "time.sleep(1000)"


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Workers]:
    """One worker, whose process runs this program in place of its own."""

    def made(program: str) -> Workers:
        monkeypatch.setattr(module, "WORK", (sys.executable, "-c", program))
        monkeypatch.setattr(module, "AGAIN_S", 0.01)
        monkeypatch.setattr(module, "AGAIN_S_MAX", 0.01)
        return Workers(Folder(tmp_path), SECRETS, 1, tmp_path, endpoint="x", url="x")

    return made


async def ends_with(workers: Workers) -> LocalError:
    with trio.fail_after(FAR_S), pytest.raises(LocalError) as error:
        await workers.keep(0)
    return error.value


@asynccontextmanager
async def kept(workers: Workers) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        with trio.fail_after(FAR_S):
            await nursery.start(workers.keep, 0)
        yield
        nursery.cancel_scope.cancel()


async def until(what: Callable[[], bool]) -> None:
    with trio.fail_after(FAR_S):
        while not what():  # noqa: ASYNC110 - another process does it
            await trio.sleep(0.01)


@pytest.mark.parametrize(
    "said",
    [
        "print('a library says something'); print(json.dumps({'error': 'the disk'}), flush=True)",
        "print('7'); print(json.dumps({'error': 'the disk'}))",
        "print('x' * 200_000 + chr(10) + json.dumps({'error': 'the disk'}))",
    ],
)
async def test_why_a_worker_could_not_go_on_is_heard_whatever_else_it_says(
    make: Callable[[str], Workers], said: str
) -> None:
    assert "the disk" in (await ends_with(make(READY + said))).cause


async def test_a_worker_that_said_its_last_word_and_hangs_is_ended(
    make: Callable[[str], Workers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.05)
    program = READY + "print(json.dumps({'error': 'the disk'}), flush=True); import os; os.close(1); " + HANG
    assert "the disk" in (await ends_with(make(program))).cause


async def test_a_worker_that_is_never_ready_ends_the_hub(
    make: Callable[[str], Workers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READY_S", 0.05)
    assert "did not start" in (await ends_with(make("import time; " + HANG))).cause


async def test_connections_come_to_a_worker_that_is_ready_alone(make: Callable[[str], Workers], tmp_path: Path) -> None:
    """One that reads a large store would let them grow old."""
    go = tmp_path / "go"
    workers = make(f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n" + READY + HANG)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.keep, 0)
        await until(lambda: workers.views()[0].pid != 0)
        assert workers.hands == {}
        go.touch()
        await until(lambda: workers.views()[0].state == "ready")
        assert set(workers.hands) == {0}
        nursery.cancel_scope.cancel()
    assert workers.hands == {}


async def test_a_machine_that_gives_no_process_for_a_while_ends_no_hub(
    make: Callable[[str], Workers], monkeypatch: pytest.MonkeyPatch
) -> None:
    workers, genuine, refused = make(READY + HANG), trio.lowlevel.open_process, 0

    async def refuse(*arguments: Any, **others: Any) -> trio.Process:
        nonlocal refused
        refused += 1
        if refused <= 2:
            raise OSError(12, "Cannot allocate memory")
        return await genuine(*arguments, **others)

    async with kept(workers):
        before = workers.views()[0].pid
        monkeypatch.setattr(trio.lowlevel, "open_process", refuse)
        os.kill(before, 9)
        await until(lambda: workers.views()[0].state == "ready" and workers.views()[0].pid != before)
        assert workers.views()[0].restarts == 3


async def test_a_machine_that_gives_no_process_at_the_start_is_told_of(
    make: Callable[[str], Workers], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any, **__: Any) -> trio.Process:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(trio.lowlevel, "open_process", refuse)
    error = await ends_with(make(READY))
    assert "cannot be started" in error.cause
    assert error.remedy


async def test_a_worker_is_ended_though_the_hub_is_told_to_stop_as_it_begins(make: Callable[[str], Workers]) -> None:
    workers = make(READY + HANG)
    with trio.CancelScope() as scope:
        genuine = trio.lowlevel.open_process

        async def begin(*arguments: Any, **others: Any) -> trio.Process:
            process = await genuine(*arguments, **others)
            scope.cancel()
            return process

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trio.lowlevel, "open_process", begin)
            await workers.keep(0)
    (view,) = workers.views()
    assert view.pid != 0
    with pytest.raises(ProcessLookupError):
        os.kill(view.pid, 0)


async def test_no_descriptor_is_left_of_workers_that_ended(make: Callable[[str], Workers]) -> None:
    workers = make(READY)  # it ends at once, well, and is started again
    async with kept(workers):
        before = await fewest_descriptors(workers, 6)
        assert await fewest_descriptors(workers, 18) < before + 6


async def fewest_descriptors(workers: Workers, restarts: int) -> int:
    """Until the worker was started again so often: those of the one that runs, or is being started, come and go."""
    seen: list[int] = []

    def is_over() -> bool:
        seen.append(len(os.listdir("/proc/self/fd")))
        return workers.views()[0].restarts > restarts

    await until(is_over)
    return min(seen)


async def test_a_worker_gets_what_the_hub_began_with(make: Callable[[str], Workers], tmp_path: Path) -> None:
    """Whatever has been written into hospital.toml, or desk.token, since."""
    told = "import sys, os; data = sys.stdin.read(); open('told.part', 'w').write(data); os.rename('told.part', 'told')"
    workers = make(told.replace("told", str(tmp_path / "told")) + "; " + READY + HANG)
    async with kept(workers):
        secrets = read_secrets(io.BytesIO((tmp_path / "told").read_bytes()))
    assert secrets == SECRETS
    folder = Folder(tmp_path / "nowhere", secrets.begun)
    assert (folder.config().name, folder.token()) == ("Hub", "a token")


async def test_a_turn_of_one_that_hangs_is_waited_for_and_then_not(tmp_path: Path, autojump_clock: MockClock) -> None:
    one, other = turn_of(tmp_path / "turn"), turn_of(tmp_path / "turn")
    async with one():
        began = trio.current_time()
        async with other():
            assert trio.current_time() - began == pytest.approx(TURN_S, abs=1)
    async with other():
        assert trio.current_time() - began < TURN_S + 2


def test_sockets_have_a_place_or_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    for place, why in ((long, "too long"), (tmp_path / "none", "no place")):
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        with pytest.raises(LocalError, match=why) as error, place_for_sockets():
            pass
        assert "TMPDIR" in error.value.remedy
    assert list(long.iterdir()) == []


def test_secrets_do_not_show_themselves() -> None:
    assert repr(SECRETS) == "Secrets(…)"
    assert repr(SECRETS.begun) == "Begun(…)"
