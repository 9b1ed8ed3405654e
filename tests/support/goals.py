"""The table that a benchmark prints, and its last line."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Goals:
    """What was measured against what was wanted."""

    name: str
    rows: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def at_most(self, what: str, measured: float, goal: float, unit: str) -> None:
        """A figure that should be small."""
        self._row(what, measured, f"≤ {goal:g} {unit}", unit, met=measured <= goal)

    def at_least(self, what: str, measured: float, goal: float, unit: str) -> None:
        """A figure that should be large."""
        self._row(what, measured, f"≥ {goal:g} {unit}", unit, met=measured >= goal)

    def _row(self, what: str, measured: float, goal: str, unit: str, *, met: bool) -> None:
        self.rows.append((what, f"{measured:.2f} {unit}", goal, met))

    def print(self) -> None:
        """The table, and one line that counts."""
        for what, measured, goal, met in self.rows:
            print(f"{what:<44} {measured:>16}   {goal:<14} {'met' if met else 'MISSED'}")
        met = sum(1 for row in self.rows if row[3])
        missed = ", ".join(row[0] for row in self.rows if not row[3])
        tail = f"; missed: {missed}" if missed else ""
        print(f"{self.name}: met {met} of {len(self.rows)} goals{tail}")
