"""The demo: a chain, two hospitals and a follower, as real processes, do the whole job on real records."""
