"""Settings of a service, read from the environment once, at start.

Nothing in a service knows whether it runs on a laptop or in a cluster: only these
addresses and credentials differ.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eventlog.broker import BrokerAddress
from eventlog.receipt import ACK_WAIT_S

PREFIX = "MYSPINBOT_"


class SettingsError(Exception):
    """A setting is missing or makes no sense. The message names the variable."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Typed access to environment variables that begin with `MYSPINBOT_`."""

    values: Mapping[str, str]

    @staticmethod
    def current() -> Environment:
        """The environment of this process."""
        return Environment(dict(os.environ))

    def text(self, name: str, default: str | None = None) -> str:
        """A variable's text; SettingsError if it is missing and has no default.

        `MYSPINBOT_<name>_FILE` may name a file that holds the text instead, as containers are
        given secrets: other processes and crash reports can see a variable, but not a file.
        """
        value = self._value(name)
        if value is None:
            value = default
        if value is None:
            raise SettingsError(f"set {PREFIX}{name}: this service cannot start without it")
        return value

    def number(self, name: str, default: float) -> float:
        """A variable as a number."""
        value = self._value(name)
        if value is None:
            return default
        try:
            return float(value)
        except ValueError as error:
            raise SettingsError(f"{PREFIX}{name} must be a number, not {value!r}") from error

    def _value(self, name: str) -> str | None:
        value = self.values.get(PREFIX + name)
        file = self.values.get(f"{PREFIX}{name}_FILE")
        if file is None:
            return value
        if value is not None:
            raise SettingsError(f"set {PREFIX}{name} or {PREFIX}{name}_FILE, not both")
        try:
            # Editors end a file with a newline, which no secret has.
            return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"{PREFIX}{name}_FILE names {file!r}, which cannot be read: {error}; "
                "check that it is there and that this service's user may read it"
            ) from error

    def path(self, name: str) -> Path | None:
        """A variable as a path, if it is set."""
        value = self.values.get(PREFIX + name)
        return Path(value) if value else None

    def broker(self, role: str) -> BrokerAddress:
        """Where the broker is, and the seed of this role's user."""
        return BrokerAddress(self.text("NATS_URL"), role, self.path("NATS_SEED"))

    def ack_wait_s(self) -> float:
        """After how long work that nobody speaks of is given out again: the same for all."""
        seconds = self.number("ACK_WAIT_S", ACK_WAIT_S)
        if seconds < 1:
            raise SettingsError(f"{PREFIX}ACK_WAIT_S must be 1 or more, not {seconds:g}")
        return seconds

    def stream_replicas(self) -> int:
        """On how many of the broker's servers each stream is kept: 1, 3 or 5."""
        text = self.text("STREAM_REPLICAS", "1")
        if text not in ("1", "3", "5"):
            raise SettingsError(f"{PREFIX}STREAM_REPLICAS must be 1, 3 or 5, not {text!r}")
        return int(text)
