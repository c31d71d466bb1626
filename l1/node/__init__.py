"""Floor 5: the chain's process. A store, a pool, an engine, an API; `python -m l1.node` runs it."""
