"""Floor 5: the hospital's process. Nobody imports it; it is started as `python -m l2.node`."""
