"""Floor 4: what one may ask a watchtower, and how it is asked. Used by hospitals and by the command line."""

from l2.vigil.client import URL_FILE, TowerUnreachable, Watchtower
from l2.vigil.words import AnswerView, HandedOver, NotHeld, TowerStatus

__all__ = ["AnswerView", "HandedOver", "NotHeld", "TowerStatus", "TowerUnreachable", "URL_FILE", "Watchtower"]
