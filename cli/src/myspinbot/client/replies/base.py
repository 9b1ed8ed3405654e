"""The base of everything that the gateway answers.

Unknown fields are kept as they are, so that a program works with a gateway that is newer than
itself and `--json` shows all that was said.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Reply(BaseModel):
    """A frozen model, read from camelCase JSON. Times have a zone, durations are in seconds."""

    model_config = ConfigDict(
        frozen=True, extra="allow", alias_generator=to_camel, populate_by_name=True
    )

    def document(self) -> dict[str, Any]:
        """What the gateway said, as it said it: camelCase, without what it left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Problem(Reply):
    """A problem document (RFC 9457) with the remedy that this gateway adds."""

    title: str = ""
    detail: str = ""
    remedy: str = ""
    type: str = "about:blank"


class Failure(Reply):
    """Why a job or a stage failed, and what can be done about it."""

    cause: str
    remedy: str
    code: str = ""
    stage: str | None = None
    retryable: bool = False
