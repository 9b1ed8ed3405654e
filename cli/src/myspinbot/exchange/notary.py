"""The notary's key of a home, checkpoints that were kept in a file, and the making of new ones."""

from __future__ import annotations

import json
from pathlib import Path

from contracts.checkpoints import LogCheckpoint
from eventlog.checkpoints import UnreadableCheckpointError, parse_checkpoint
from eventlog.signatures import Signer, UnusableKeyError

from myspinbot.embedded.broker import seed_folder
from myspinbot.embedded.home import Home
from myspinbot.errors import MISUSED, NOT_FOUND, CommandError

NOTARY = "notary"
"""The broker's user that may write checkpoints."""


def signer_of(seed: Path) -> Signer:
    """The key pair in a seed file; CommandError if there is none."""
    try:
        return Signer.of(seed)
    except (UnusableKeyError, OSError) as error:
        raise CommandError(
            f"The seed file {seed} cannot be used: {error}.",
            "Name the file with the nkey seed of the broker's user `notary`, with --seed.",
            MISUSED,
        ) from error


def seed_of(home: Home) -> Path:
    """The seed file of the local system's notary; CommandError if it has none yet."""
    seed = seed_folder(home) / f"{NOTARY}.nk"
    if not seed.exists():
        raise CommandError(
            f"There is no key of a notary in {home.root}.",
            "`myspinbot up` makes one; of another system, name its seed with --seed.",
            NOT_FOUND,
        )
    return seed


def own_key(home: Home) -> str:
    """The public key of the local system's notary."""
    return signer_of(seed_of(home)).public_key


def read_kept(path: Path) -> tuple[LogCheckpoint, ...]:
    """Checkpoints in a file: as `events checkpoint --list --json` prints them, or one a line."""
    try:
        text = path.expanduser().read_text(encoding="utf-8")
        try:
            held = json.loads(text)
        except ValueError:
            held = [json.loads(line) for line in text.splitlines() if line.strip()]
        listed = held.get("checkpoints", [held]) if isinstance(held, dict) else held
        return tuple(parse_checkpoint(json.dumps(each)) for each in listed)
    except (OSError, ValueError, TypeError, UnreadableCheckpointError) as error:
        raise CommandError(
            f"{path} holds no checkpoints: {error}.",
            "`myspinbot events checkpoint --list --json` prints what is to be kept.",
            MISUSED,
        ) from error
