"""The file of settings that compose interpolates: ours, and what its owner has added to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

DOMAIN = "MYSPINBOT_DOMAIN"

_HEAD = """\
# Settings of this deployment, read by compose: docker compose --env-file deploy/secrets/env …
# Provisioning writes the first of them and keeps all others: add your own below.
"""
_LINE = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$")


def read_environment(path: Path) -> dict[str, str]:
    """The settings of a file; none if there is no file."""
    if not path.exists():
        return {}
    found = (_LINE.match(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {each[1]: each[2].strip() for each in found if each}


def render_environment(before: Mapping[str, str], domain: str) -> str:
    """The file, with the domain as it is wanted and everything else as it was."""
    settings = {DOMAIN: domain, **{name: text for name, text in before.items() if name != DOMAIN}}
    return _HEAD + "".join(f"{name}={text}\n" for name, text in settings.items())
