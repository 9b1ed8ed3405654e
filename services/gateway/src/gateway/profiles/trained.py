"""What trainings have made for a profile, and what of it a job is given."""

from __future__ import annotations

from dataclasses import dataclass, field

from contracts.artifacts import Artifacts
from contracts.events import PROFILE_INPUTS
from contracts.job import JobState
from contracts.queries import GetProfile, Profile
from eventlog.rpc import NotFoundError, ask

from gateway.context import Gateway
from gateway.jobs.routes import is_job_id
from gateway.problems import Problem, ProblemKind


@dataclass(frozen=True, slots=True)
class Lent:
    """What a job that uses a profile is given, and the training that it comes from."""

    inputs: Artifacts = field(default_factory=dict)
    trained_by: JobState | None = None


async def find(gateway: Gateway, profile: str, owner: str) -> Profile:
    """The owner's profile; Problem if there is none."""
    try:
        if is_job_id(profile):
            query = GetProfile(owner=owner, profile=profile, min_position=gateway.live.position)
            found, _ = await ask(gateway.broker, query, Profile)
            return found
    except NotFoundError:
        pass
    raise no_such_profile()


async def lent_by(gateway: Gateway, profile: str | None, owner: str) -> Lent:
    """What a job that uses the profile, if any, is given; Problem if it is not trained yet."""
    if profile is None:
        return Lent()
    found = await find(gateway, profile, owner)
    given = {name: found.artifacts[name] for name in PROFILE_INPUTS if name in found.artifacts}
    if "lora" not in given or "faces" not in given:
        raise Problem(
            ProblemKind.PROFILE_NOT_READY,
            "The profile's training has not made a LoRA yet.",
            f"Wait for job {found.created_by}, or retry it if it failed.",
            job=found.created_by,
        )
    try:
        maker = await gateway.live.find(found.created_by, owner)
    except NotFoundError:
        # It was deleted in this moment.
        raise no_such_profile() from None
    return Lent(given, maker.state)


def no_such_profile() -> Problem:
    """The problem of a profile that is not there, or not the owner's."""
    return Problem(
        ProblemKind.NO_SUCH_PROFILE,
        "No profile of yours has this id.",
        "GET /api/profiles lists your profiles.",
    )
