"""Consent as its owner sees it: who agreed to what, and when."""

from __future__ import annotations

from contracts.base import Contract, Id, Timestamp
from contracts.consent import Basis, Covers, Statement
from contracts.job import JobState
from pydantic import Field


class ConsentView(Contract):
    """Who has agreed to the use of a face or a voice. What they said is null once it is erased."""

    who: str | None = Field(description="their name, or `myself`")
    basis: Basis | None
    purpose: str | None = Field(description="what it may be used for")
    covers: Covers
    given_at: Timestamp
    given_for: Id | None = Field(
        description="the job that it was given for; null if it is this one"
    )


def consent_of(state: JobState, statement: str | None) -> ConsentView | None:
    """The consent that a job rests on, with its statement as the store has it; None if none."""
    consent = state.consent
    if consent is None:
        return None
    said = Statement.model_validate_json(statement) if statement else None
    return ConsentView(
        who=said.who if said else None,
        basis=said.basis if said else None,
        purpose=said.purpose if said else None,
        covers=consent.covers,
        given_at=consent.given_at,
        given_for=consent.given_for,
    )
