"""Versions of events: how a body that an earlier program wrote becomes one of today's.

An event type counts its versions from 1, and the model in `contracts.events` is the newest. For
each older version there is one upcaster, from the JSON of that version to the JSON of the next,
so an event of any age is read by walking the chain. The chains are checked when this module is
imported: a program that could not read its own past does not start.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from contracts.events import EVENTS, Event

Body = dict[str, Any]
Upcaster = Callable[[Body], Body]
"""From the JSON of one version to that of the next. Pure; `version` is set by the chain."""


class UnknownEventError(ValueError):
    """The event has a type or version that this program does not know, or a wrong shape."""


class BrokenChainError(Exception):
    """An event type has a version that cannot be brought to the newest one."""


def newest(model: type[Event]) -> int:
    """The version that a model describes."""
    return int(model.model_fields["version"].default)


class Upcasters:
    """Event types with the upcasters of their older versions, by (type, from version)."""

    def __init__(
        self, models: Mapping[str, type[Event]], steps: Mapping[tuple[str, int], Upcaster]
    ) -> None:
        """Raises BrokenChainError unless each type has exactly the steps that it needs."""
        self._models = dict(models)
        self._steps = dict(steps)
        wanted = {
            (name, version) for name, model in models.items() for version in range(1, newest(model))
        }
        if missing := sorted(wanted - set(steps)):
            raise BrokenChainError(f"no upcaster from {_words(missing)}: add it to UPCASTERS")
        if stray := sorted(set(steps) - wanted):
            raise BrokenChainError(f"an upcaster from {_words(stray)}, which is no older version")

    def parse(self, name: str, body: bytes) -> Event:
        """The event in `body`; UnknownEventError for an unknown type, version or shape."""
        model = self._models.get(name)
        if model is None:
            raise UnknownEventError(
                f"unknown event type {name!r}: a newer MySpinBot is needed, one that knows it"
            )
        event: Event
        try:
            # What `model_validate_json` asks, without its way there, which is a third of the time.
            event = model.__pydantic_validator__.validate_json(body)
        except ValidationError as error:
            # Nearly all events are of the newest version, so the others pay for being old.
            event = self._older(name, model, body, error)
        return event

    def _older(self, name: str, model: type[Event], body: bytes, cause: ValidationError) -> Event:
        """The event in a body that is not of the newest version, or UnknownEventError."""
        raised = self._raised(name, newest(model), body)
        if raised is None:
            raise _unreadable(name, newest(model), body, cause) from cause
        try:
            return model.model_validate(raised)
        except ValidationError as error:
            raise UnknownEventError(f"{name} of an older version is malformed: {error}") from error

    def _raised(self, name: str, version: int, body: bytes) -> Body | None:
        """The body brought to `version`, or None if it is not of an older one."""
        data, written = _versioned(body)
        if written is None or not 1 <= written < version:
            return None
        for step in range(written, version):
            try:
                data = {**self._steps[name, step](data), "version": step + 1}
            except (KeyError, TypeError, ValueError) as error:
                raise UnknownEventError(
                    f"{name} of version {step} is malformed: {error!r}"
                ) from error
        return dict(data)


def _versioned(body: bytes) -> tuple[Body, int | None]:
    """The JSON of a body and the version that it says, or None if it says none."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return {}, None
    if not isinstance(data, dict):
        return {}, None
    written = data.get("version")
    return data, written if type(written) is int else None


def _unreadable(name: str, known: int, body: bytes, error: ValidationError) -> UnknownEventError:
    _, written = _versioned(body)
    if written is not None and written > known:
        return UnknownEventError(
            f"{name} of version {written}: this MySpinBot knows it up to version {known}; "
            "a newer one is needed"
        )
    return UnknownEventError(f"{name} is not of a known version: {error}")


def _words(steps: list[tuple[str, int]]) -> str:
    return ", ".join(f"{name} version {version}" for name, version in steps)


UPCASTERS = Upcasters(EVENTS, {})
"""The upcasters of this program's events. docs/events.md says how to add a version."""
