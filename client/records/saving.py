"""A record that is too long for memory becomes a file, in pieces."""

from collections.abc import AsyncIterator
from pathlib import Path

from l1.ground.faults import LocalError

__all__ = ["save_pieces"]


async def save_pieces(to: Path, pieces: AsyncIterator[bytes]) -> None:
    """A content that is too long for memory: the file is there once all of it is."""
    beside = to.with_name(f"{to.name}.part")
    try:
        with beside.open("wb") as file:
            async for piece in pieces:
                file.write(piece)
        beside.rename(to)
    except OSError as error:
        raise LocalError(f"{to} cannot be written ({error.strerror})", "Name another file.") from None
    finally:
        beside.unlink(missing_ok=True)
