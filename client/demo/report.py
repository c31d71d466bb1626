"""What the demo found out: the figures, and each check with what was seen. A table for people, an object for programs.

Knows no processes. A figure that no scene has set says that the scene did not happen, and that is never ok.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from rich.table import Table

__all__ = ["Check", "Report"]


class Check(NamedTuple):
    name: str
    ok: bool
    seen: str


@dataclass
class Report:
    """`crash_lost` is how many acknowledged entries a killed hospital did not have any more."""

    patients: int = 0
    records_shared: int = 0
    records_verified: int = 0
    bytes_shared: int = 0
    withdrawal_enforced: bool = False
    updates: int = 0
    updates_per_s: int = 0
    latency_ms: dict[str, float] = field(default_factory=dict)
    checkpoints: int = 0
    proof_verified: bool = False
    tampered_proof_refused: bool = False
    crash_lost: int | None = None
    stale_close: bool = False
    bond_forfeited: int = 0
    settled: bool = False
    payouts: dict[str, int] = field(default_factory=dict)
    credits_conserved: bool = False
    logs_verified: bool = False
    follower_agrees: bool = False
    entries: int = 0
    blocks: int = 0
    seconds: float = 0.0
    checks: list[Check] = field(default_factory=list)

    def check(self, name: str, ok: bool, seen: str) -> bool:
        """Note a check and pass on whether it held."""
        self.checks.append(Check(name, ok, seen))
        return ok

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """One flat object; the checks as a list of objects; `ok` last."""
        figures = asdict(self)
        figures["checks"] = [check._asdict() for check in self.checks]
        return {**figures, "ok": self.ok}

    def as_table(self) -> Table:
        table = Table(title="Interward demo", title_justify="left", show_edge=False, pad_edge=False)
        table.add_column("", width=2)
        table.add_column("check")
        table.add_column("seen", overflow="fold")
        for check in self.checks:
            table.add_row("[green]✓[/]" if check.ok else "[red]✗[/]", check.name, check.seen)
        return table
