"""The base of every model that travels, and the identifiers they share.

All contracts are frozen and refuse unknown fields: what is not in the contract is a
mistake of the sender, and it is better told than ignored. JSON uses camelCase, in the
log and at the HTTP gateway alike, so that a person reading either sees one language.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
)
from pydantic.alias_generators import to_camel

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
"""A token that is safe in a NATS subject, an S3 key and a URL path."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
"""The name of a stage, a stage kind, an engine, an input or an output."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

Timestamp = AwareDatetime

CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f"
"""For the brackets of a pattern: control characters other than tab, line feed, carriage return."""

DISGUISES = CONTROLS + r"\x80-\x9f\u202a-\u202e\u2066-\u2069"
"""For what names somebody or something: also what drives a terminal, and what turns the direction
of writing, by which a name is shown as another one (Unicode Technical Report 36, 2.3)."""


def _is_number(value: Any) -> Any:
    if isinstance(value, (bool, str)):
        raise ValueError("a number is wanted here, as JSON writes it")  # noqa: TRY004
    return value


JsonNumber = BeforeValidator(_is_number)
"""For numbers that people send: `true` and "1" are none, though Pydantic would take them so.

It comes last in an annotation, after the bounds, which the published schema would lose else.
"""


_DEEPEST = 32
_LARGEST = 2**63


def _is_plain(value: Any) -> Any:
    level = [value]
    for _ in range(_DEEPEST):
        for item in level:
            _check_scalar(item)
            if isinstance(item, dict):
                for key in item:
                    _check_scalar(key)
        level = [inner for item in level for inner in _inside(item)]
        if not level:
            return value
    raise ValueError(f"is nested more than {_DEEPEST} deep")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _check_scalar(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("has a number that is not finite")
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise ValueError("has a whole number of more than 64 bits")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("has half of a surrogate pair, which is no text") from None


Plain = AfterValidator(_is_plain)
"""For free-form JSON that people send: only what every reader of the log can read again."""


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
        # What `model_dump_json` asks, without its way to text and back: every view asks it.
        return self.__pydantic_serializer__.to_json(self, by_alias=True, exclude_none=True)


def make_id(now: datetime, entropy: bytes) -> str:
    """A lower-case ULID: 26 characters that sort by time (https://github.com/ulid/spec).

    `entropy` is ten random bytes; both are passed in so that tests decide them.
    """
    if len(entropy) != 10:
        raise ValueError("a ULID takes exactly ten bytes of entropy")
    number = (int(now.timestamp() * 1000) << 80) | int.from_bytes(entropy, "big")
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))
