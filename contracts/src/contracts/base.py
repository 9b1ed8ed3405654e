"""The base of every model that travels, and the identifiers they share.

All contracts are frozen and refuse unknown fields: what is not in the contract is a
mistake of the sender, and it is better told than ignored. JSON uses camelCase, in the
log and at the HTTP gateway alike, so that a person reading either sees one language.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
"""A token that is safe in a NATS subject, an S3 key and a URL path."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
"""The name of a stage, a stage kind, an engine, an input or an output."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

Timestamp = AwareDatetime


def _is_number(value: Any) -> Any:
    if isinstance(value, (bool, str)):
        raise ValueError("a number is wanted here, as JSON writes it")  # noqa: TRY004
    return value


JsonNumber = BeforeValidator(_is_number)
"""For numbers that people send: `true` and "1" are none, though Pydantic would take them so.

It comes last in an annotation, after the bounds, which the published schema would lose else.
"""


class Contract(BaseModel):
    """A frozen model that travels as camelCase JSON and knows all of its fields."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        ser_json_timedelta="float",
    )

    def to_json(self) -> bytes:
        """The model as compact UTF-8 JSON."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


def make_id(now: datetime, entropy: bytes) -> str:
    """A lower-case ULID: 26 characters that sort by time (https://github.com/ulid/spec).

    `entropy` is ten random bytes; both are passed in so that tests decide them.
    """
    if len(entropy) != 10:
        raise ValueError("a ULID takes exactly ten bytes of entropy")
    number = (int(now.timestamp() * 1000) << 80) | int.from_bytes(entropy, "big")
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))
