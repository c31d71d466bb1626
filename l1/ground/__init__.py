"""Floor 0, pure: codec, hashing, Merkle trees, signatures, fields, limits, faults. The chain owns the alphabet."""
