"""What the system is and can do: profiles, pipelines, engines, runners, figures, links."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from myspinbot.client.replies.base import Reply
from myspinbot.client.replies.jobs import ArtifactLink, Consent, JobItem


class Profile(Reply):
    """A trained person. `jobs` is there when one profile was asked for."""

    profile_id: str
    name: str | None = None
    ready: bool = True
    has_voice: bool = False
    trained_by: str = ""
    created_at: datetime
    updated_at: datetime | None = None
    portrait_url: str | None = None
    voice_url: str | None = None
    videos: int | None = None
    consent: Consent | None = None
    artifacts: tuple[ArtifactLink, ...] = ()
    jobs: tuple[JobItem, ...] = ()


class ProfileList(Reply):
    """One page of profiles, newest first."""

    profiles: tuple[Profile, ...]
    next: str | None = None


class Pipeline(Reply):
    """Stages that can be run as a job, as a graph and drawn in Mermaid's language."""

    pipeline_id: str
    name: str
    built_in: bool = False
    type: str = "pipeline"
    needs: tuple[str, ...] = ()
    may_have: tuple[str, ...] = ()
    graph: dict[str, Any] = Field(default_factory=dict)
    mermaid: str = ""


class Weights(Reply):
    """Model weights that an engine lacks."""

    name: str
    size_bytes: int
    licence: str
    how_to_get: str


class Base(Reply):
    """The model that an engine starts from."""

    title: str
    size_bytes: int
    licence: str


class Engine(Reply):
    """One way of doing one kind of stage."""

    kind: str
    engine: str
    version: str = ""
    title: str = ""
    lane: str = ""
    available: bool = True
    missing: tuple[Weights, ...] = ()
    base: Base | None = None
    qualities: tuple[str, ...] = ()
    params_schema: dict[str, Any] = Field(default_factory=dict)
    presets: dict[str, dict[str, Any]] = Field(default_factory=dict)
    typical_s: dict[str, float] = Field(default_factory=dict)


class Capabilities(Reply):
    """What can be asked for now: engines by kind of stage, limits of one request."""

    kinds: dict[str, tuple[Engine, ...]] = Field(default_factory=dict)
    qualities: tuple[str, ...] = ()
    limits: dict[str, int] = Field(default_factory=dict)


class Device(Reply):
    """A processor that stages run on."""

    name: str
    title: str = ""
    memory_bytes: int = 0


class Runner(Reply):
    """A live runner. `busy` is the number of stages that it works on."""

    runner_id: str
    busy: int = 0
    devices: tuple[Device, ...] = ()
    engines: tuple[Engine, ...] = ()
    announced_at: datetime | None = None


class StageTimes(Reply):
    """How long the stages of a kind took, in seconds."""

    kind: str
    engine: str
    quality: str
    count: int
    median_s: float
    longest_s: float


class Stats(Reply):
    """Counts, storage in bytes, and times of stages."""

    jobs: dict[str, int] = Field(default_factory=dict)
    usage: dict[str, int | None] = Field(default_factory=dict)
    queue: dict[str, int] = Field(default_factory=dict)
    stages: tuple[StageTimes, ...] = ()


class Estimate(Reply):
    """How long a job of a quality takes, and from what that is known."""

    quality: str
    seconds: float | None = None
    basis: str = "unknown"
    stages: dict[str, float | None] = Field(default_factory=dict)


class SignedLink(Reply):
    """An address that needs no credentials, until it expires."""

    url: str
    expires_at: datetime


class Session(Reply):
    """Who one is to the gateway."""

    mode: str
    signed_in: bool
    owner: str | None = None
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
