"""Layer 1: the small chain that keeps the channels honest."""
