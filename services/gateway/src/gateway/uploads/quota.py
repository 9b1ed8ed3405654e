"""How much each owner may store."""

from __future__ import annotations

from contracts.queries import GetUsage, Usage
from eventlog.rpc import ask

from gateway.context import Gateway
from gateway.problems import Problem, ProblemKind


async def check_quota(gateway: Gateway, owner: str, more: int, waiting: int = 0) -> None:
    """Problem if an owner may not store so many bytes more."""
    quota = gateway.settings.quota_bytes
    if quota is None:
        return
    query = GetUsage(owner=owner, min_position=gateway.live.position)
    usage, _ = await ask(gateway.broker, query, Usage)
    stored = usage.stored_bytes + waiting
    if stored + more > quota:
        raise Problem(
            ProblemKind.QUOTA_EXCEEDED,
            f"{stored / 1e6:,.0f} of {quota / 1e6:,.0f} MB are used, and this needs "
            f"{more / 1e6:,.1f} MB more.",
            "Delete jobs that are not needed any more; their files are erased with them.",
            stored=stored,
            limit=quota,
        )
