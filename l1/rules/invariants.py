"""What must hold after every block, whatever was asked. Tests and followers call it; no rule depends on it."""

from collections.abc import Mapping

from l1.rules.state import Phase, decode_account, decode_channel

__all__ = ["check_conserved", "count_credits"]


def count_credits(rows: Mapping[bytes, bytes]) -> int:
    """All credits of a state: those in accounts, and those locked in channels that are not settled."""
    total = 0
    for key, row in rows.items():
        if key.startswith(b"account/"):
            total += decode_account(row).credits
        elif key.startswith(b"channel/"):
            channel = decode_channel(row)
            if channel.phase != Phase.SETTLED:
                total += sum(side.deposit + side.bond for side in channel.sides)
    return total


def check_conserved(rows: Mapping[bytes, bytes], total: int) -> None:
    """Assert that credits were neither made nor lost: `total` is what the genesis allocated."""
    counted = count_credits(rows)
    assert counted == total, f"{counted} credits where the genesis allocated {total}"
