"""A job as a user asks for it, before it has entered the log."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Any, Self

from contracts.base import CONTROLS, DISGUISES, Contract, Id, JsonNumber, Name, Plain
from contracts.consent import Statement
from contracts.events import JobType, Quality
from contracts.graph import Graph
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from gateway.jobs.filenames import FileName
from gateway.problems import Problem, ProblemKind
from gateway.settings import Limits

# What drives a terminal has no place in what is spoken.
Text = Annotated[str, StringConstraints(strip_whitespace=True, pattern=rf"^[^{CONTROLS}]*$")]
Title = Annotated[str, StringConstraints(strip_whitespace=True, pattern=rf"^[^{DISGUISES}]*$")]
_DISGUISED = re.compile(f"[{DISGUISES}]")


def _undisguised(said: Statement) -> Statement:
    # Here and not in the statement itself: those that are kept must stay readable.
    if _DISGUISED.search(said.who + said.purpose):
        raise ValueError("has characters that are not shown, or turn the direction of writing")
    return said


class UploadsDraft(Contract):
    """Complete uploads that a job uses, by their ids."""

    photos: tuple[Id, ...] = ()
    photo_names: tuple[FileName, ...] = Field(
        default=(),
        description="what their owner calls the photos, in the same order; what is said of one "
        "then tells its name",
    )
    clip: Id | None = None
    music: Id | None = Field(default=None, description="generate: what plays under the speech")

    @model_validator(mode="after")
    def _names_each(self) -> Self:
        if self.photo_names and len(self.photo_names) != len(self.photos):
            raise ValueError("there are as many photoNames as photos, or none")
        return self


class JobDraft(Contract):
    """The body of `POST /api/jobs`; the forms of the other routes have the same fields."""

    type: JobType
    profile_id: Id | None = Field(
        default=None, description="generate: the trained profile to speak with"
    )
    name: Title | None = Field(default=None, description="train: what the profile is called")
    prompt: Text | None = Field(default=None, description="how the portrait should look")
    script: Text | None = Field(default=None, description="generate: the words to speak")
    topic: Text | None = Field(
        default=None, description="generate: what to speak about, where there is no script"
    )
    quality: Quality = Quality.STANDARD
    engines: dict[Name, Name] = Field(default_factory=dict, description="engine by stage kind")
    params: Annotated[dict[Name, dict[str, Any]], Plain] = Field(
        default_factory=dict, description="engine parameters by stage kind; see capabilities"
    )
    uploads: UploadsDraft = Field(
        default=UploadsDraft(), description="files that were uploaded before; see /api/uploads"
    )
    consent: Annotated[Statement, AfterValidator(_undisguised)] | None = Field(
        default=None,
        description="that the face and the voice may be used; a profile and a fork bring theirs",
    )
    graph: Graph | None = Field(default=None, description="pipeline: the stages to run")
    pipeline: Id | None = Field(
        default=None, description="pipeline: a pipeline that is kept, instead of a graph"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63), JsonNumber] = 0

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        named = [one for one in (self.graph, self.pipeline) if one is not None]
        if len(named) != (1 if self.type is JobType.PIPELINE else 0):
            raise ValueError("a pipeline has either a graph or the id of one, and no other job has")
        if self.type is JobType.GENERATE and bool(self.script) == bool(self.topic):
            raise ValueError("a video needs a script, the words to speak, or a topic; not both")
        of_videos = (self.script, self.topic, self.profile_id)
        if self.type is JobType.TRAIN and any(one is not None for one in of_videos):
            raise ValueError("a training takes neither a script, a topic nor a profile")
        return self

    def texts(self) -> dict[str, str]:
        """What the user wrote, by the name of the input that it becomes."""
        given = {
            "name": self.name,
            "prompt": self.prompt,
            "script": self.script,
            "topic": self.topic,
        }
        return {name: text for name, text in given.items() if text}


def check(draft: JobDraft, photos: int, sounds: Collection[str], limits: Limits) -> None:
    """Problem if the draft cannot become a job with so many photos and these sound files."""
    check_texts(draft, limits)
    if draft.type is JobType.TRAIN and photos == 0:
        raise _invalid(
            "A training needs photos, and there are none.",
            "Send photos as form fields `image`, or upload them and name them in `uploads`.",
        )
    if draft.type is JobType.GENERATE and draft.profile_id is None and photos == 0:
        raise _invalid(
            "A video needs a face: there is neither a profile nor a photo.",
            "Give the `profileId` of an earlier training, or send photos.",
        )
    if draft.type is JobType.TRAIN and "music" in sounds:
        raise _invalid(
            "A training takes no music.", "Leave it out, or ask for a video by giving a script."
        )
    if (
        draft.type is JobType.GENERATE
        and draft.profile_id is not None
        and (photos or "clip" in sounds)
    ):
        raise _invalid(
            "A profile brings its own face and voice, and there are files as well.",
            "Leave out the files to use the profile, or `profileId` to train a new one.",
        )


def check_texts(draft: JobDraft, limits: Limits) -> None:
    """Problem if a text is longer than it may be."""
    for name, most in (
        ("name", limits.name_chars),
        ("prompt", limits.prompt_chars),
        ("topic", limits.prompt_chars),
        ("script", limits.script_chars),
    ):
        if len(draft.texts().get(name, "")) > most:
            raise _invalid(f"The {name} is longer than {most:,} characters.", "Shorten it.")


def check_inputs(draft: JobDraft, inputs: Collection[str]) -> None:
    """Problem if the draft's own graph asks the request for an input that it does not have."""
    for stage in draft.graph.stages if draft.graph else ():
        for name, binding in stage.inputs.items():
            if binding.stage is None and not binding.optional and binding.output not in inputs:
                raise _invalid(
                    f"Stage {stage.id} takes {name} from the request's {binding.output}, "
                    "which the request does not have.",
                    f"Send {binding.output}, or make the binding optional.",
                )


def _invalid(detail: str, remedy: str) -> Problem:
    return Problem(ProblemKind.INVALID_REQUEST, detail, remedy)
