"""Contexts of the `nats` command: named files that say where a broker is and who we are there.

The format and the places are those of NATS ADR-21 (NATS Context), which other tools read too.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from myspinbot.embedded.home import write_private
from myspinbot.errors import MISUSED, REFUSED, CommandError

DEFAULT = "myspinbot"
_DESCRIPTION = "MySpinBot, to be watched"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def context_file(name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Where a context of this name is kept; CommandError if it is no name."""
    if not _NAME.fullmatch(name):
        raise CommandError(
            f"{name!r} cannot be the name of a context.", "Use letters, digits, - and _.", MISUSED
        )
    config = environment.get("XDG_CONFIG_HOME")
    folder = Path(config) if config else Path.home() / ".config"
    return folder / "nats" / "context" / f"{name}.json"


def write_context(path: Path, url: str, role: str, seed: Path) -> None:
    """Make the context, or bring it up to date; CommandError if there is another's of this name."""
    if path.exists() and not _is_ours(path):
        raise CommandError(
            f"There is a context {path.stem} already, which MySpinBot did not make: {path}.",
            "Choose another name with --context.",
            REFUSED,
        )
    settings = {
        "description": _DESCRIPTION,
        "url": url,
        "nkey": str(seed),
        # The broker lets a user hear only the replies to its own requests.
        "inbox_prefix": f"_INBOX_{role}",
    }
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, json.dumps(settings, indent=2) + "\n")


def _is_ours(path: Path) -> bool:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("description") == _DESCRIPTION


def copy_seed(source: Path, target: Path) -> None:
    """A copy that only its owner may read; CommandError if something else is there."""
    seed = source.read_text(encoding="ascii")
    if target.exists() and target.read_bytes().strip() != seed.strip().encode():
        raise CommandError(
            f"{target} is there already, and is something else.", "Name a new file.", REFUSED
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    write_private(target, seed)
