"""The field types that schemas are made of: lengths and ranges are checked while decoding."""

from typing import Annotated

from msgspec import Meta

from l1.ground import limits

__all__ = [
    "AccountId",
    "ChannelId",
    "Credits",
    "Digest",
    "Handle",
    "Height",
    "KeyBytes",
    "Name",
    "SignatureBytes",
    "Size",
    "TimeMs",
]

Digest = Annotated[bytes, Meta(min_length=limits.HASH_BYTES, max_length=limits.HASH_BYTES)]
ChannelId = Digest
AccountId = Annotated[bytes, Meta(min_length=limits.ACCOUNT_BYTES, max_length=limits.ACCOUNT_BYTES)]
Handle = Annotated[bytes, Meta(min_length=limits.HANDLE_BYTES, max_length=limits.HANDLE_BYTES)]
KeyBytes = Annotated[bytes, Meta(min_length=limits.PUBLIC_KEY_BYTES, max_length=limits.PUBLIC_KEY_BYTES)]
SignatureBytes = Annotated[bytes, Meta(min_length=limits.SIGNATURE_BYTES, max_length=limits.SIGNATURE_BYTES)]
Credits = Annotated[int, Meta(ge=0, le=limits.CREDITS_MAX)]
Size = Annotated[int, Meta(ge=0, le=limits.SIZE_MAX)]
TimeMs = Annotated[int, Meta(ge=0, le=limits.TIME_MS_MAX)]
Height = Annotated[int, Meta(ge=0, le=limits.HEIGHT_MAX)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
