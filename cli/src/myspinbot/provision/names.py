"""The names by which a deployment is reached, and the lines of a hosts file that lead to them."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from myspinbot.errors import MISUSED, CommandError

DEFAULT_DOMAIN = "myspinbot.local"
LOOPBACK = "127.0.0.1"

PREFIXES = ("app", "s3", "grafana", "prometheus", "traefik", "nats", "db", "storage")
"""What stands before the domain: one name for each thing that Traefik leads to."""

_BEGIN, _END = "# myspinbot: begin", "# myspinbot: end"
_DOMAIN = re.compile(r"(?=.{4,200}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")


def checked_domain(text: str) -> str:
    """A domain in lower case; CommandError if it cannot be one."""
    domain = text.strip().lower().rstrip(".")
    if not _DOMAIN.fullmatch(domain):
        raise CommandError(
            f"{text!r} is no domain that a certificate can be made for.",
            f"Give a name with a dot, such as {DEFAULT_DOMAIN} or bot.example.org, "
            "without https:// and without a star.",
            MISUSED,
        )
    return domain


def checked_address(text: str) -> str:
    """An IP address as text; CommandError if it is none."""
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError as error:
        raise CommandError(
            f"{text!r} is no IP address.",
            "Give the address of the machine that Traefik runs on, such as 192.168.1.20.",
            MISUSED,
        ) from error


def names(domain: str) -> list[str]:
    """Every name of a deployment."""
    return [domain, *(f"{prefix}.{domain}" for prefix in PREFIXES)]


def hosts_lines(domain: str, address: str = LOOPBACK) -> list[str]:
    """Lines of a hosts file, between marks by which they are found again."""
    return [_BEGIN, *(f"{address} {name}" for name in names(domain)), _END]


def with_lines(text: str, lines: list[str]) -> str:
    """A hosts file with these lines in the place of ours, or at its end."""
    ours = "\n".join(lines)
    between = re.compile(rf"^{re.escape(_BEGIN)}$.*?^{re.escape(_END)}$", re.DOTALL | re.MULTILINE)
    if between.search(text):
        return between.sub(lambda _found: ours, text, count=1)
    return f"{text.rstrip()}\n\n{ours}\n" if text.strip() else f"{ours}\n"


def hosts_file(platform: str, system_root: str = r"C:\Windows") -> Path:
    """Where a system keeps it; `platform` is as in `sys.platform`."""
    if platform == "win32":
        return Path(system_root) / "System32" / "drivers" / "etc" / "hosts"
    return Path("/etc/hosts")


def write_hosts(path: Path, lines: list[str]) -> bool:
    """Whether the hosts file was changed; CommandError if it may not be.

    It is written in place: in a container it is a mount, which cannot be replaced.
    """
    try:
        before = path.read_text(encoding="utf-8")
        after = with_lines(before, lines)
        if after == before:
            return False
        path.write_text(after, encoding="utf-8")
    except OSError as error:
        raise CommandError(
            f"The hosts file {path} cannot be changed: {error.strerror}.",
            "Run it again as the machine's administrator (sudo), or leave --write-hosts out and "
            "add the lines that it prints yourself.",
        ) from error
    return True
