"""Attacks that read like fables: alice, bob, carol and mallory, and who paid whom in the end."""
