"""Consent to the use of a face or a voice: no job that uses one enters the log without it.

It is said with the request, or taken over from the job that it was given for: a video of a trained
person rests on what was agreed to when they were trained, and a fork on what its parent does.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from contracts.consent import Likeness, Statement, likenesses
from contracts.events import ConsentGiven
from contracts.job import JobState

from gateway.problems import Problem, ProblemKind
from gateway.uploads import Uploads

_CLOCKS = timedelta(minutes=1)
"""How far the clocks of honest people may be ahead of ours."""


async def given(
    uploads: Uploads,
    said: Statement | None,
    earlier: JobState | None,
    inputs: Iterable[str],
    *,
    by: str,
    now: datetime,
) -> ConsentGiven | None:
    """The consent that a job with these inputs rests on; None if it needs none.

    It is what was `said` with the request, or else what the job has that lends it somebody's
    likeness. Stores what was said. Problem if a face or a voice is used that nobody agreed to.
    """
    if said is None:
        consent = taken_over(earlier, by) if earlier else None
        _check(likenesses(inputs), consent.covers if consent else None)
        return consent
    if said.given_at is not None and said.given_at > now + _CLOCKS:
        raise Problem(
            ProblemKind.INVALID_REQUEST,
            f"The consent is of {said.given_at.isoformat()}, which is still to come.",
            "Leave out its `givenAt` if it is given now.",
            field="consent.givenAt",
        )
    _check(likenesses(inputs), said.covers)
    return ConsentGiven(
        covers=said.covers,
        # Without a time of its own the statement is the same whenever it is sent again.
        statement=await uploads.text(said.to_json().decode()),
        given_at=said.given_at or now,
        by=by,
    )


def taken_over(earlier: JobState, by: str) -> ConsentGiven | None:
    """The consent of an earlier job as another one's that uses the same likeness.

    None if it has none: it was asked for before jobs had to say so.
    """
    if earlier.consent is None:
        return None
    origin = earlier.consent.given_for or earlier.job
    return earlier.consent.model_copy(update={"by": by, "given_for": origin})


def _check(used: frozenset[Likeness], covered: Iterable[Likeness] | None) -> None:
    if lacking := [one.value for one in Likeness if one in used.difference(covered or ())]:
        what = " and ".join(f"a {likeness}" for likeness in lacking)
        if covered is None:
            raise Problem(
                ProblemKind.CONSENT_MISSING,
                f"The job uses {what}, and it is not said that it may.",
                "Send `consent`: who agrees, on what `basis`, for what `purpose`, and what it "
                "`covers`.",
                missing=lacking,
            )
        raise Problem(
            ProblemKind.CONSENT_TOO_NARROW,
            f"The job uses {what}, which the consent does not cover.",
            "Ask the person for it as well, or leave out what they have not agreed to.",
            missing=lacking,
        )
