"""What every word of the desk is made of: a JSON object, hex, credits, times."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = ["ChannelState", "Credits", "Hex", "Side", "TimeMs", "Word"]

Hex = Annotated[str, Meta(pattern=r"^([0-9a-f]{2})*$")]
Credits = Annotated[int, Meta(ge=0)]
TimeMs = Annotated[int, Meta(ge=0)]
Side = Literal["own", "peer"]
ChannelState = Literal["connecting", "resuming", "open", "closing", "settled", "frozen"]


class Word(Struct, frozen=True, kw_only=True):
    """A JSON object. Unknown fields are ignored, so that an older desk understands a newer hospital."""
