"""Benches: each measures one thing with real processes, and gives one object of figures."""
