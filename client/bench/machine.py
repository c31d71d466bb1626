"""On what a figure was measured: processor, kernel, interpreter, and the libraries that do the work."""

import os
import platform
import ssl
from importlib.metadata import version
from pathlib import Path
from typing import Any

from l1.ground.many import IN_C

__all__ = ["machine"]

LIBRARIES = ("coincurve", "lmdb", "msgspec", "trio")


def machine() -> dict[str, Any]:
    """What stands beside every figure."""
    return {
        "cpus": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "interward": version("interward"),
        "hashes": "C" if IN_C else "Python",
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
