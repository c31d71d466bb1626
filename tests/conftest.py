"""Settings of all tests: the same examples every time, and no stopwatch, since tests share their machine."""

import os

from hypothesis import settings

settings.register_profile("interward", deadline=None, derandomize=True)
settings.load_profile("interward")

# Hundreds of processes are started: what one of them has compiled is there for the others, also where the environment
# says to keep no byte code, as container images do.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
