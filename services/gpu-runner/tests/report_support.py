"""What the reports of tests have in common."""

from __future__ import annotations

from dataclasses import dataclass, field

from contracts.stagelog import Level


@dataclass
class Talk:
    """Keeps what a stage says, and refuses values that are no numbers."""

    said_lines: list[tuple[Level, str]] = field(default_factory=list, init=False)
    measured: list[tuple[int, dict[str, float]]] = field(default_factory=list, init=False)

    def line(self, message: str, level: Level = Level.INFO) -> None:
        assert message
        self.said_lines.append((level, message))

    def values(self, step: int, **values: float) -> None:
        assert values
        assert all(isinstance(value, float) for value in values.values())
        self.measured.append((step, values))
