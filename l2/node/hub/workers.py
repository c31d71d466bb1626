"""The workers of a hub as processes: started, watched, started again, and ended together.

A worker that was killed is started again, after a pause that grows: whatever it had acknowledged is in its journal, and
its channels resume with their peers; the others go on meanwhile. One that could not go on and said why (its disk, a
damaged store, a chain that forked) ends the hub, as it would have ended a hospital of one process: an operator decides.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import structlog
import trio

from l1.ground.faults import LocalError
from l1.reader.backoff import Backoff
from l1.serving.process import PASSWORD, hold_lock
from l1.serving.whole import is_of_disk
from l2.desk import words
from l2.node.clock import now_ms
from l2.node.folder import PIN, Folder
from l2.node.hub.door import FrontDoor
from l2.node.hub.handing import Handing, pair_of_ends
from l2.node.hub.worker import Secrets
from l2.node.parts import lock_of

__all__ = ["Workers"]

READY_S = 120.0  # a store to be read, a chain to be asked: a slow disk included
STOP_S = 20.0  # a worker writes back, then ends; longer means that it hangs
AGAIN_S, AGAIN_S_MAX = 1.0, 30.0
SAID_BYTES_MAX = 64 * 1024
WORK: tuple[str, ...] = (sys.executable, "-m", "l2.node", "work")

_object = msgspec.json.Decoder(dict[str, Any]).decode

log = structlog.get_logger()


class _Worker:
    """One of them. `said` is the last line that its process wrote."""

    def __init__(self, number: int) -> None:
        self.number, self.restarts, self.since_ms = number, 0, 0
        self.process: trio.Process | None = None
        self.is_ready = self.was_ready = False
        self.said: dict[str, Any] = {}


class Workers:
    """All of them. `keep` is the task of one; `hands` are the ends of those that run now."""

    def __init__(self, folder: Folder, secrets: Secrets, count: int, sockets: Path, *, endpoint: str, url: str) -> None:
        self.sockets, self.count = sockets, count
        self._folder, self._secrets = folder, secrets
        self._told = ("--sockets", str(sockets), "--endpoint", endpoint, "--url", url)
        self._all = [_Worker(number) for number in range(count)]
        self.hands: dict[int, Handing] = {}
        self.door = FrontDoor(self.hands, count)

    @property
    def ended_well(self) -> bool:
        """Whether each has ended as it was asked to, and none was ever killed."""
        return all(one.restarts == 0 and one.process is not None and one.process.returncode == 0 for one in self._all)

    def views(self) -> list[words.WorkerView]:
        return [
            words.WorkerView(
                number=one.number,
                pid=0 if one.process is None else one.process.pid,
                state="ready" if one.is_ready else "starting",
                since_ms=one.since_ms,
                restarts=one.restarts,
            )
            for one in self._all
        ]

    def check_ready(self, number: int) -> None:
        """Raises `LocalError` while the worker cannot be asked."""
        if not self._all[number].is_ready:
            cause = f"worker {number} is being started again"
            raise WorkerAway(cause, "Ask again in some seconds; `interward hospital status` shows the workers.")

    async def keep(self, number: int, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Have this worker run until cancelled. Started once it is ready for the first time. Raises `LocalError` for
        what it could not go on with."""
        worker, pauses = self._all[number], Backoff(AGAIN_S, AGAIN_S_MAX)
        while True:
            began_s = trio.current_time()
            try:
                status = await self._run(worker, task_status)
            except OSError as error:  # as after the kernel, out of memory, killed it
                if is_of_disk(error) or not worker.was_ready:
                    raise _cannot_start(number, error) from None
                log.error("a worker cannot be started", worker=number, why=str(error))
            else:
                log.error("a worker ended", worker=number, status=status)
                if not worker.was_ready:
                    cause = f"worker {number} did not start (status {status})"
                    raise LocalError(cause, "What it said stands above.")
            if trio.current_time() - began_s > AGAIN_S_MAX:
                pauses.reset()
            worker.restarts += 1
            await pauses.wait()

    async def _run(self, worker: _Worker, task_status: trio.TaskStatus[None]) -> int:
        """One process, to its end. Raises `OSError` where the machine gives none."""
        worker.said, worker.since_ms = {}, now_ms()
        ours, theirs = pair_of_ends()
        hand = Handing(ours)
        try:
            with theirs:
                process = await self._start(worker, theirs)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._take_tickets, hand)
                await self._listen_to(worker, process, hand, task_status)
                nursery.cancel_scope.cancel()
            status = await _end_of(worker, process)
        finally:
            worker.is_ready = False
            self.hands.pop(worker.number, None)
            await _end(worker)
            hand.close()  # not before: a worker without its front ends as well, but not well
            self.door.forget(worker.number)
        if (error := worker.said.get("error")) is not None:
            log.error("a worker could not go on", worker=worker.number, why=error)
            raise LocalError(f"worker {worker.number}: {error}")
        return status

    async def _listen_to(
        self, worker: _Worker, process: trio.Process, hand: Handing, task_status: trio.TaskStatus[None]
    ) -> None:
        """Until it has nothing more to say. It gets connections once it can take them, and not before: it would not
        know in time who they are."""
        voice = _Voice(process)
        with trio.move_on_after(READY_S) as scope:
            worker.said = await voice.next() or {}
        if scope.cancelled_caught:
            log.error("a worker is not ready", worker=worker.number, after_s=READY_S)
            process.kill()
        if not worker.said.get("ready"):
            return
        worker.is_ready, self.hands[worker.number] = True, hand
        if not worker.was_ready:
            worker.was_ready = True
            task_status.started()
        while (said := await voice.next()) is not None:
            worker.said = said

    async def _start(self, worker: _Worker, end: socket.socket) -> trio.Process:
        with hold_lock(self._folder.path, lock_of(worker.number)) as lock:
            process = await trio.lowlevel.open_process(
                [
                    *WORK,
                    *("--folder", str(self._folder.path), "--number", str(worker.number)),
                    *("--workers", str(self.count), *self._told),
                    *("--end", str(end.fileno()), "--lock", str(lock)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(end.fileno(), lock),
                env=_without_secrets(os.environ),
                start_new_session=True,  # a Ctrl-C at the terminal is the front's to pass on
            )
        worker.process = process
        assert process.stdin is not None
        with suppress(trio.BrokenResourceError):  # it has ended already; what it said tells why
            await process.stdin.send_all(msgspec.json.encode(self._secrets))
        await process.stdin.aclose()
        return process

    async def _take_tickets(self, hand: Handing) -> None:
        while (ticket := await hand.returned()) is not None:
            self.door.settle(ticket)


class WorkerAway(LocalError):  # noqa: N818 - it says what is so
    """A worker does not answer now."""


def _without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in (PASSWORD, PIN)}


def _cannot_start(number: int, error: OSError) -> LocalError:
    remedy = "Look at the machine's memory and disk, and at its limits on processes and open files."
    return LocalError(f"worker {number} cannot be started ({error})", remedy)


class _Voice:
    """What a worker's process says: one JSON object a line. What is none was not said by it."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdout is not None
        self._stream, self._rest = process.stdout, b""

    async def next(self) -> dict[str, Any] | None:
        """None at its end."""
        while True:
            line, found, rest = self._rest.partition(b"\n")
            if found:
                self._rest = rest
                with suppress(msgspec.DecodeError):
                    return _object(line)
                continue
            more = await self._stream.receive_some()
            if not more:
                return None
            self._rest = (self._rest + more)[-SAID_BYTES_MAX:]


async def _end_of(worker: _Worker, process: trio.Process) -> int:
    """Its status. It is about to end, for it has nothing more to say or was told to; if it does not, it is killed."""
    with trio.move_on_after(STOP_S):
        return await process.wait()
    log.error("a worker does not end", worker=worker.number)
    process.kill()
    return await process.wait()


async def _end(worker: _Worker) -> None:
    """Kindly, and then not."""
    process = worker.process
    if process is None or process.returncode is not None:
        return
    with trio.CancelScope(shield=True):
        process.terminate()
        await _end_of(worker, process)
