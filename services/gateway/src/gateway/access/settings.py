"""What can be set about access. The defaults are those of one's own machine."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass, field

from servicekit.settings import PREFIX, Environment, SettingsError

from gateway.access.principal import Mode, Scope

_SHORTEST_SECRET = 16


@dataclass(frozen=True, slots=True)
class Rates:
    """How much one principal may ask for; 0 is without limit."""

    requests_per_minute: int = 0
    jobs_per_hour: int = 0
    failures_per_minute: int = 20


@dataclass(frozen=True, slots=True)
class Provider:
    """The OpenID Connect provider whose JWTs are believed."""

    issuer: str
    audience: str
    jwks_url: str | None = None
    scopes: frozenset[Scope] = frozenset({Scope.READ, Scope.WRITE})
    """What a JWT without a `scope` claim of ours is good for."""


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Who is let in, how it is shown, and how often."""

    mode: Mode = Mode.LOCAL
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    lasting: bool = False
    """Whether `secret` was set: sessions and links then outlive the process."""
    admin_token: str | None = field(default=None, repr=False)
    provider: Provider | None = None
    rates: Rates = field(default_factory=Rates)

    @staticmethod
    def of(environment: Environment) -> AccessSettings:
        """From `MYSPINBOT_ACCESS`, `_SECRET`, `_ADMIN_TOKEN`, `_OIDC_*` and `_RATE_*`.

        Raises SettingsError if they contradict each other or would let anybody in.
        """
        text = environment.text("ACCESS", Mode.LOCAL)
        if text not in tuple(Mode):
            raise SettingsError(f"{PREFIX}ACCESS must be one of {', '.join(Mode)}, not {text!r}")
        mode = Mode(text)
        _check_exposure(mode, environment)
        secret = _secret(environment, "SECRET")
        shared = mode is not Mode.LOCAL

        def rate(name: str, default: int) -> int:
            return int(environment.number(f"RATE_{name}", default))

        return AccessSettings(
            mode=mode,
            secret=secret.encode() if secret else secrets.token_bytes(32),
            lasting=secret is not None,
            admin_token=_secret(environment, "ADMIN_TOKEN"),
            provider=_provider(environment) if mode is Mode.OIDC else None,
            rates=Rates(
                requests_per_minute=rate("REQUESTS_PER_MINUTE", 1200 if shared else 0),
                jobs_per_hour=rate("JOBS_PER_HOUR", 120 if shared else 0),
                failures_per_minute=rate("FAILURES_PER_MINUTE", 20),
            ),
        )


def _secret(environment: Environment, name: str) -> str | None:
    value = environment.text(name, "")
    if value and len(value) < _SHORTEST_SECRET:
        raise SettingsError(
            f"{PREFIX}{name} must have {_SHORTEST_SECRET} characters or more; "
            "make one with: openssl rand -hex 32"
        )
    return value or None


def _provider(environment: Environment) -> Provider:
    scopes = environment.text("OIDC_SCOPES", "read write").replace(",", " ").split()
    if unknown := sorted(set(scopes) - set(Scope)):
        raise SettingsError(f"{PREFIX}OIDC_SCOPES has {unknown[0]!r}; there are {', '.join(Scope)}")
    return Provider(
        issuer=environment.text("OIDC_ISSUER"),
        audience=environment.text("OIDC_AUDIENCE"),
        jwks_url=environment.text("OIDC_JWKS_URL", "") or None,
        scopes=frozenset(Scope(scope) for scope in scopes),
    )


def _check_exposure(mode: Mode, environment: Environment) -> None:
    """SettingsError if whoever reaches a network of this machine would be taken for its owner."""
    host = environment.text("HTTP_HOST", "127.0.0.1")
    named = environment.text("ALLOWED_HOSTS", "").strip()
    if mode is Mode.LOCAL and not _is_loopback(host) and not named:
        raise SettingsError(
            f"{PREFIX}HTTP_HOST={host} would let everybody on the network in without a password; "
            f"set {PREFIX}ACCESS=token, or, if something before the gateway keeps others out "
            f"(a container's port that is published on 127.0.0.1 only), say so by listing the "
            f"names it goes by in {PREFIX}ALLOWED_HOSTS"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
