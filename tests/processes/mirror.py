"""A program that says what it is: `python -m tests.processes.mirror WORDS`. With the word `stay` it does not end."""

import gc
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path


def main() -> int:
    said = {
        "arguments": sys.argv,
        "folder": str(Path.cwd()),
        "path": sys.path,
        "environment": dict(os.environ),
        "zone": time.tzname,
        "name": __name__,
        "parent": os.getppid(),
        "leads_session": os.getsid(0) == os.getpid(),
        "group": os.getpgid(0) == os.getpid(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "signals": [str(signal.getsignal(each)) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)],
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "threads": threading.active_count(),
        "collects": gc.isenabled(),
        "loaded": "l2.node" in sys.modules,
    }
    print(json.dumps(said), flush=True)
    if "stay" in sys.argv:
        signal.pause()
    if sys.stdin.read() == "a word\n":
        print("complained", file=sys.stderr)
    return 3


if __name__ == "__main__":
    sys.exit(main())
