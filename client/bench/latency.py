"""`interward bench latency`: how long an update takes under a load that does not wait for it.

Messages go out by the clock, on one append stream, whatever became of those before; each is counted from the moment
when it was due. So a pause of the hospital is felt by every message that fell into it (no coordinated omission).
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trio

from client.bench.pair import (
    check_written,
    collect_garbage,
    groundwork,
    open_channels,
    percentile,
    two_hospitals,
    write_all,
)
from client.demo.world import open_world
from client.progress import Bars

__all__ = ["bench_latency"]

EVERY_S = 0.005  # a message to the desk so often
WARM_UP_UPDATES = 24_000
SHARES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


async def bench_latency(folder: Path, rates: Sequence[int], seconds: float, *, seed: int, bars: Bars) -> dict[str, Any]:
    """A row for each rate, in updates a second. Latencies are ms from the due time to the desk's answer, which comes
    with the peer's durable receipt."""
    async with open_world(folder) as world:
        with bars.stage("Start a chain and two hospitals"):
            a, b = await two_hospitals(world)
            (channel,) = await open_channels(a, b)
        total = round(sum(rates) * seconds) + WARM_UP_UPDATES
        with bars.stage("Grants to refer to"):
            _, stream = await groundwork(a, b, channel, total, seed)
            await write_all(b, channel, [stream.chunk(WARM_UP_UPDATES // 4) for _ in range(4)])
        rows: list[dict[str, Any]] = []
        for rate in rates:
            each = max(1, round(rate * EVERY_S))
            chunks = [stream.chunk(each) for _ in range(round(rate * seconds / each))]
            late: list[float] = []
            collect_garbage()
            with bars.stage(f"{rate:,} updates a second", len(chunks)) as advance:
                async with b.desk.appending(channel) as appends:
                    began = time.monotonic()

                    async def send(due_s: float, chunk: bytes, late: list[float] = late) -> None:
                        check_written(await appends.append_encoded(chunk))
                        late.append((time.monotonic() - due_s) * 1000)

                    async with trio.open_nursery() as nursery:
                        for number, chunk in enumerate(chunks):
                            due_s = began + number * each / rate
                            await trio.sleep(max(0.0, due_s - time.monotonic()))
                            nursery.start_soon(send, due_s, chunk)
                            advance()
                    took_s = time.monotonic() - began
            latency = {name: percentile(late, share) for name, share in SHARES.items()}
            reached = round(len(chunks) * each / took_s)
            rows.append(
                {"rate": rate, "message": each, "messages": len(chunks), "reached": reached, "latency_ms": latency}
            )
    return {"rows": rows}
