"""What a check has found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check went."""

    PASS = "pass"  # noqa: S105 - a verdict
    WARN = "warn"
    """It works, and not as well as it could."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `remedy` is empty if there is nothing to mend."""

    check: str
    verdict: Verdict
    detail: str
    remedy: str = ""


def passed(check: str, detail: str) -> Finding:
    """All is well."""
    return Finding(check, Verdict.PASS, detail)


def warned(check: str, detail: str, remedy: str) -> Finding:
    """It could be better."""
    return Finding(check, Verdict.WARN, detail, remedy)


def failed(check: str, detail: str, remedy: str) -> Finding:
    """It cannot work like this."""
    return Finding(check, Verdict.FAIL, detail, remedy)


def any_failed(findings: Iterable[Finding]) -> bool:
    """Whether something cannot work."""
    return any(finding.verdict is Verdict.FAIL for finding in findings)
