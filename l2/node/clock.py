"""The node's wall clock, the only one: milliseconds since the epoch."""

import time

__all__ = ["now_ms"]


def now_ms() -> int:
    return time.time_ns() // 1_000_000
