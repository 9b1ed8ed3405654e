"""Questions that the projector answers over NATS request/reply, and their answers.

A client that has just written asks with `min_position`, the log sequence that its write
got, and is answered only from a view that has seen it. Every question carries the owner
on whose behalf it is asked; what belongs to another owner is not found.
"""

from __future__ import annotations

from contracts.artifacts import Artifact
from contracts.base import Contract
from contracts.job import JobState
from contracts.queries.base import Answer, Query, QueryError
from contracts.queries.jobs import (
    GetJob,
    GetTimeline,
    JobPage,
    JobSummary,
    ListJobs,
    Timeline,
    TimelineEntry,
)
from contracts.queries.library import (
    ArtifactEntry,
    FindObject,
    GetArtifact,
    GetProfile,
    GetUsage,
    ListErasable,
    ListProfiles,
    ObjectKeys,
    Profile,
    ProfilePage,
    Usage,
)
from contracts.queries.operations import (
    DailyUsage,
    GetStats,
    ListDailyUsage,
    ListQueue,
    Queue,
    QueuedAttempt,
    StageTimes,
    Stats,
    UsageDay,
)
from contracts.queries.oversight import (
    AuditEntry,
    AuditPage,
    DeadLetter,
    DeadLetterPage,
    LetterStatus,
    ListAudit,
    ListDeadLetters,
)

__all__ = [
    "QUERIES",
    "RESULTS",
    "Answer",
    "ArtifactEntry",
    "AuditEntry",
    "AuditPage",
    "DailyUsage",
    "DeadLetter",
    "DeadLetterPage",
    "FindObject",
    "GetArtifact",
    "GetJob",
    "GetProfile",
    "GetStats",
    "GetTimeline",
    "GetUsage",
    "JobPage",
    "JobSummary",
    "LetterStatus",
    "ListAudit",
    "ListDailyUsage",
    "ListDeadLetters",
    "ListErasable",
    "ListJobs",
    "ListProfiles",
    "ListQueue",
    "ObjectKeys",
    "Profile",
    "ProfilePage",
    "Query",
    "QueryError",
    "Queue",
    "QueuedAttempt",
    "StageTimes",
    "Stats",
    "Timeline",
    "TimelineEntry",
    "Usage",
    "UsageDay",
]

QUERIES: dict[str, type[Query]] = {
    query.subject: query
    for query in (
        GetJob,
        ListJobs,
        GetTimeline,
        GetArtifact,
        GetProfile,
        ListProfiles,
        ListErasable,
        FindObject,
        GetUsage,
        GetStats,
        ListQueue,
        ListDailyUsage,
        ListAudit,
        ListDeadLetters,
    )
}
"""Every question by its subject."""

RESULTS: dict[str, type[Contract]] = {
    GetJob.subject: JobState,
    ListJobs.subject: JobPage,
    GetTimeline.subject: Timeline,
    GetArtifact.subject: ArtifactEntry,
    GetProfile.subject: Profile,
    ListProfiles.subject: ProfilePage,
    ListErasable.subject: ObjectKeys,
    FindObject.subject: Artifact,
    GetUsage.subject: Usage,
    GetStats.subject: Stats,
    ListQueue.subject: Queue,
    ListDailyUsage.subject: DailyUsage,
    ListAudit.subject: AuditPage,
    ListDeadLetters.subject: DeadLetterPage,
}
"""The model of the result of each question."""
