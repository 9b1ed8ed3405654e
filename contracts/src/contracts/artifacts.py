"""References to objects in the S3 store: the only way in which bytes travel.

The log holds keys, sizes and hashes and never the content, so erasing a person is
deleting objects, and a replay after it still works.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from contracts.base import Contract, Sha256

ObjectKey = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9/._-]{0,511}$")]


class Artifact(Contract):
    """One immutable object in the store."""

    key: ObjectKey
    size: Annotated[int, Field(ge=0, description="bytes")]
    sha256: Sha256
    media_type: Annotated[str, StringConstraints(pattern=r"^[\w.+-]+/[\w.+-]+$")]


Artifacts = dict[str, tuple[Artifact, ...]]
"""Artifacts by input or output name, each in the order in which they were given or made."""
