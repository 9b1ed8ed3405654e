"""Lengths of time as a story needs them: exact when short, and below zero when clocks disagree."""

from __future__ import annotations

from myspinbot.progress import duration

MINUS = "\N{MINUS SIGN}"


def span(seconds: float) -> str:
    """Seconds as `53 ms`, `1.7 s`, `3 min 05 s`; with a minus where time ran backwards."""
    sign, length = (MINUS if seconds < 0 else ""), abs(seconds)
    if length < 0.9995:
        return f"{sign}{length * 1000:.0f} ms"
    if length < 59.95:
        return f"{sign}{length:.1f} s"
    return sign + duration(length)


def brief(seconds: float) -> str:
    """The same in at most seven characters: `53 ms`, `1.7 s`, `3m05s`, `2h10m`, `4d03h`."""
    sign, length = (MINUS if seconds < 0 else ""), abs(seconds)
    if length < 59.95:
        return span(seconds)
    whole = round(length)
    for unit, inner, first, second in ((86_400, 3600, "d", "h"), (3600, 60, "h", "m")):
        if whole >= unit:
            return f"{sign}{whole // unit}{first}{whole % unit // inner:02}{second}"
    return f"{sign}{whole // 60}m{whole % 60:02}s"
