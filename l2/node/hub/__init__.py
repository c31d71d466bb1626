"""A hub: one hospital whose channels are spread over worker processes, behind one front. docs/decisions/hub.md."""
