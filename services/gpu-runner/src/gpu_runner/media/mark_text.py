"""The parameter by which a mark is asked for. Read without loading what draws it: see `mark`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

MarkText = Annotated[
    str,
    Field(
        max_length=40,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Short text drawn small into the upper right corner, such as: AI generated. "
        "Empty for none",
    ),
]
