"""What a hospital's desk asks about consents, requests, records, grants and accesses. Front door."""

from l2.node.exchange.exchange import Exchange

__all__ = ["Exchange"]
