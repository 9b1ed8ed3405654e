"""What a deployment rests on: its secrets, the broker's users, its certificate, its domain."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from cryptography import x509
from eventlog.server_config import public_key, render_users

from myspinbot.doctor import deploy_machine, machine
from myspinbot.doctor.findings import Finding, failed, passed, warned
from myspinbot.errors import CommandError
from myspinbot.provision import certificates
from myspinbot.provision.environment import DOMAIN, read_environment
from myspinbot.provision.layout import OPERATOR_PASSWORD, Layout
from myspinbot.provision.making import knows_operator
from myspinbot.provision.names import DEFAULT_DOMAIN, checked_domain, names

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_PROVISION = "Run `myspinbot provision`: it makes what is missing and keeps the rest."
_RECREATE = "docker compose --env-file deploy/secrets/env up --detach --force-recreate"


def check(layout: Layout, environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Everything about a deployment on this machine, before its start or while it runs."""
    if not layout.root.is_dir():
        yield failed("secrets", f"There is no folder {layout.root}.", _PROVISION)
        return
    yield complete(layout)
    yield closed(layout)
    yield from in_git(layout)
    yield broker_users(layout)
    yield operator(layout)
    settings = {**read_environment(layout.environment), **environment}
    found = domain(settings)
    yield found
    if not found.remedy:
        name = checked_domain(settings.get(DOMAIN, DEFAULT_DOMAIN))
        now = datetime.now(UTC)
        yield certificate(layout, name, now)
        yield from deploy_machine.resolved(names(name), deploy_machine.addresses_of)
        yield from deploy_machine.ports(settings, layout.certificate, f"app.{name}")
    yield deploy_machine.compose(deploy_machine.compose_version())
    yield deploy_machine.graphics(
        settings, machine.nvidia_driver(), shutil.which("nvidia-container-runtime")
    )
    yield machine.space(layout.root)
    yield deploy_machine.clock(deploy_machine.synchronised())


def complete(layout: Layout) -> Finding:
    """Whether every secret is there, and holds something."""
    expected = layout.expected()
    if not layout.authority.exists() and not layout.authority_key.exists():
        # A certificate from elsewhere needs no authority of ours.
        expected = tuple(
            path for path in expected if path not in (layout.authority, layout.authority_key)
        )
    missing = [path for path in expected if not path.is_file() or not path.stat().st_size]
    if not missing:
        return passed("secrets", f"all {len(expected)} are in {layout.root}")
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return failed("secrets", f"{missing[0]} is missing or empty{more}.", _PROVISION)


def closed(layout: Layout) -> Finding:
    """Whether others on this machine are kept out."""
    if os.name == "nt":
        return passed("privacy", "kept by the folder's access list")
    if layout.root.stat().st_mode & _OTHERS:
        return failed(
            "privacy",
            f"Others on this machine can look into {layout.root}.",
            f"Close it: chmod 700 {layout.root}",
        )
    return passed("privacy", f"only the owner of {layout.root} gets in")


def in_git(layout: Layout) -> Iterator[Finding]:
    """A finding if git knows of a secret."""
    git = shutil.which("git")
    if git is None:
        return
    listed = subprocess.run(  # noqa: S603 - our own arguments
        [git, "-C", str(layout.root), "ls-files"], check=False, capture_output=True, text=True
    )
    if tracked := listed.stdout.splitlines():
        yield failed(
            "privacy",
            f"{len(tracked)} files of {layout.root} are in git, such as {tracked[0]}.",
            f"Take them out (git rm -r --cached {layout.root}), then make new ones: whoever has "
            "a copy of the repository has these. Remove the folder and run `myspinbot provision`.",
        )


def broker_users(layout: Layout) -> Finding:
    """Whether the broker is told of the keys that there are, and of today's permissions."""
    try:
        keys = {
            path.stem: public_key(path.read_bytes().strip()) for path in layout.seeds.glob("*.nk")
        }
        told = layout.users.read_text()
    except ValueError:
        return failed("broker", f"One of {layout.seeds}/*.nk holds no nkey seed.", _PROVISION)
    except OSError as error:
        return failed("broker", f"{error.filename} cannot be read: {error.strerror}.", _PROVISION)
    if told != render_users(keys):
        return failed(
            "broker",
            f"{layout.users} is of other keys, or of the permissions of another version.",
            f"Run `myspinbot provision`, then give it to the broker: {_RECREATE} nats",
        )
    return passed("broker", f"{len(keys)} users with their permissions")


def operator(layout: Layout) -> Finding:
    """Whether the operators' password opens what is for operators."""
    try:
        password = layout.word(OPERATOR_PASSWORD).read_bytes().strip()
        users = layout.basic_users.read_text()
    except OSError as error:
        return failed("operator", f"{error.filename} cannot be read: {error.strerror}.", _PROVISION)
    if knows_operator(users, password):
        return passed("operator", f"signs in with the password in {layout.root}/traefik/password")
    return failed("operator", f"{layout.basic_users} knows another password.", _PROVISION)


def domain(settings: Mapping[str, str]) -> Finding:
    """Whether the domain can be one."""
    try:
        return passed("domain", checked_domain(settings.get(DOMAIN, DEFAULT_DOMAIN)))
    except CommandError as error:
        return failed("domain", error.cause, f"{error.remedy} Set it: myspinbot provision --domain")


def certificate(layout: Layout, name: str, now: datetime) -> Finding:
    """Whether browsers will believe the certificate, today and for the coming weeks."""
    try:
        key, chain = layout.key.read_bytes(), layout.certificate.read_bytes()
        pair = certificates.read_pair(key, chain)
    except OSError as error:
        return failed(
            "certificate", f"{error.filename} cannot be read: {error.strerror}.", _PROVISION
        )
    except ValueError as error:
        return failed("certificate", f"{layout.certificate} is of no use: {error}.", _PROVISION)
    found, ends = pair.certificate, pair.certificate.not_valid_after_utc
    renew = f"Renew it: myspinbot provision, then {_RECREATE} traefik"
    if not certificates.covers(found, name):
        return failed("certificate", f"It is not for {name} and the names below it.", renew)
    if found.not_valid_before_utc > now:
        return failed(
            "certificate",
            f"It begins on {found.not_valid_before_utc:%Y-%m-%d %H:%M} UTC, which is yet to come.",
            "The clock of this machine is behind, or was ahead: sudo timedatectl set-ntp true",
        )
    if ends <= now:
        return failed("certificate", f"It ended on {ends:%Y-%m-%d}.", renew)
    if layout.authority.exists():
        [authority, *_] = x509.load_pem_x509_certificates(layout.authority.read_bytes())
        if not certificates.signed_by(pair.chain, authority):
            return failed("certificate", f"It is not signed by {layout.authority}.", renew)
    if ends < now + certificates.RENEW_WITHIN:
        return warned("certificate", f"It ends soon, on {ends:%Y-%m-%d}.", renew)
    return passed("certificate", f"for {name} and the names below it, until {ends:%Y-%m-%d}")
