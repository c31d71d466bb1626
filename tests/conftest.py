"""Settings of all tests: the same examples every time, and no stopwatch, since tests share their machine."""

from hypothesis import settings

settings.register_profile("interward", deadline=None, derandomize=True)
settings.load_profile("interward")
