"""What the API shows: jobs, their stages and results, each as a model and a function to it."""

from gateway.jobs.views.consent import ConsentView, consent_of
from gateway.jobs.views.jobs import (
    FILES,
    JobUpdate,
    JobView,
    StatusView,
    artifact_views,
    job_of,
    status_of,
    update_of,
)
from gateway.jobs.views.lists import Card, JobItem, JobList, card_of, item_of
from gateway.jobs.views.stages import ArtifactView, StageView, numbered_samples
from gateway.jobs.views.times import eta_s

__all__ = [
    "FILES",
    "ArtifactView",
    "Card",
    "ConsentView",
    "JobItem",
    "JobList",
    "JobUpdate",
    "JobView",
    "StageView",
    "StatusView",
    "artifact_views",
    "card_of",
    "consent_of",
    "eta_s",
    "item_of",
    "job_of",
    "numbered_samples",
    "status_of",
    "update_of",
]
