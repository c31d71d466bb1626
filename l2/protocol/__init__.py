"""Floor 3, pure: what two hospitals and a watchtower owe each other in a channel."""
