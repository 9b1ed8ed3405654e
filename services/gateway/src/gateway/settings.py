"""What can be set about the gateway, with the defaults of an installation on one's own machine."""

from __future__ import annotations

from dataclasses import dataclass, field

from contracts.media import MAX_PICTURE_PIXELS
from servicekit.settings import Environment

from gateway.access.principal import Mode
from gateway.access.settings import AccessSettings
from gateway.webhooks.settings import Reach, WebhookSettings

_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may bring. Sizes are in bytes, lengths in characters."""

    photo_bytes: int = 25 * _MEGABYTE
    photos: int = 40
    photo_pixels: int = MAX_PICTURE_PIXELS
    clip_bytes: int = 50 * _MEGABYTE
    music_bytes: int = 50 * _MEGABYTE
    script_chars: int = 20_000
    prompt_chars: int = 2_000
    name_chars: int = 80

    @property
    def body_bytes(self) -> int:
        """The largest body that can be within all other limits."""
        sounds = self.clip_bytes + self.music_bytes
        return self.photos * self.photo_bytes + sounds + _MEGABYTE


@dataclass(frozen=True, slots=True)
class Settings:
    """The gateway's settings."""

    host: str = "127.0.0.1"
    port: int = 8080
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    proxies: frozenset[str] = frozenset()
    public_store: str | None = None
    limits: Limits = field(default_factory=Limits)
    trace_url: str | None = None
    quota_bytes: int | None = None
    access: AccessSettings = field(default_factory=AccessSettings)
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)

    @staticmethod
    def of(environment: Environment) -> Settings:
        """From `MYSPINBOT_HTTP_*`, `_ALLOWED_*`, `_TRACE_URL` and `_LIMIT_*`.

        `ALLOWED_HOSTS` lists the names, beside those of the loopback, by which the gateway is
        reached; `ALLOWED_ORIGINS` lists other sites, such as `https://example.org`, whose
        pages may use it; `TRUSTED_PROXIES` lists addresses whose `X-Forwarded-For` and `-Proto`
        are believed. All are separated by commas. `S3_PUBLIC_ENDPOINT` is where
        browsers reach the object store, if they do. `QUOTA_BYTES` is how
        much each owner may store, without limit if it is unset. `TRACE_URL` is where a trace
        can be looked at, with `{traceId}` in its place; without it, that is the page.
        """
        defaults = Limits()
        access = AccessSettings.of(environment)
        # On one's own machine whoever makes a webhook is who may reach the network anyway.
        reach = Reach.ANY if access.mode is Mode.LOCAL else Reach.PUBLIC

        def limit(name: str, default: int) -> int:
            return int(environment.number(f"LIMIT_{name}", default))

        return Settings(
            host=environment.text("HTTP_HOST", "127.0.0.1"),
            port=int(environment.number("HTTP_PORT", 8080)),
            hosts=_listed(environment.text("ALLOWED_HOSTS", "")),
            origins=_listed(environment.text("ALLOWED_ORIGINS", "")),
            proxies=_listed(environment.text("TRUSTED_PROXIES", "")),
            public_store=environment.text("S3_PUBLIC_ENDPOINT", "").rstrip("/") or None,
            access=access,
            webhooks=WebhookSettings.of(environment, reach),
            quota_bytes=int(environment.number("QUOTA_BYTES", 0)) or None,
            trace_url=environment.text("TRACE_URL", "") or None,
            limits=Limits(
                photo_bytes=limit("PHOTO_BYTES", defaults.photo_bytes),
                photos=limit("PHOTOS", defaults.photos),
                photo_pixels=limit("PHOTO_PIXELS", defaults.photo_pixels),
                clip_bytes=limit("CLIP_BYTES", defaults.clip_bytes),
                music_bytes=limit("MUSIC_BYTES", defaults.music_bytes),
                script_chars=limit("SCRIPT_CHARS", defaults.script_chars),
                prompt_chars=limit("PROMPT_CHARS", defaults.prompt_chars),
                name_chars=limit("NAME_CHARS", defaults.name_chars),
            ),
        )


def _listed(text: str) -> frozenset[str]:
    return frozenset(item.strip().lower() for item in text.split(",") if item.strip())
