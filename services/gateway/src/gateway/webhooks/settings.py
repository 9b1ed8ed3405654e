"""What can be set about webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from servicekit.settings import PREFIX, Environment, SettingsError

_MINUTE_S = 60.0
_HOUR_S = 3600.0


class Reach(StrEnum):
    """Which addresses may be called."""

    ANY = "any"
    """Those of one's own network too."""
    PUBLIC = "public"
    """Only those of the public internet, so that nobody looks into the network through us."""


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """`retries_s` are the pauses after failed tries, so that there is one try more than pauses."""

    reach: Reach = Reach.PUBLIC
    timeout_s: float = 10.0
    retries_s: tuple[float, ...] = (
        5.0,
        30.0,
        2 * _MINUTE_S,
        10 * _MINUTE_S,
        _HOUR_S,
        3 * _HOUR_S,
        6 * _HOUR_S,
        12 * _HOUR_S,
        24 * _HOUR_S,
    )

    @staticmethod
    def of(environment: Environment, default: Reach) -> WebhookSettings:
        """From `MYSPINBOT_WEBHOOK_TARGETS`, `_TIMEOUT_S` and `_RETRIES_S` (`5,30,120`).

        Raises SettingsError for what is none of it.
        """
        usual = WebhookSettings()
        reach = environment.text("WEBHOOK_TARGETS", default)
        if reach not in tuple(Reach):
            raise SettingsError(
                f"{PREFIX}WEBHOOK_TARGETS must be one of {', '.join(Reach)}, not {reach!r}"
            )
        pauses = environment.text("WEBHOOK_RETRIES_S", "")
        try:
            retries = tuple(float(pause) for pause in pauses.split(",") if pause.strip())
        except ValueError as error:
            raise SettingsError(
                f"{PREFIX}WEBHOOK_RETRIES_S must be seconds such as 5,30,120, not {pauses!r}"
            ) from error
        return WebhookSettings(
            reach=Reach(reach),
            timeout_s=environment.number("WEBHOOK_TIMEOUT_S", usual.timeout_s),
            retries_s=retries or usual.retries_s,
        )
