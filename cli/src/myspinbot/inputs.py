"""What a user gives to a job: photos, a recording and a script, checked before anything starts."""

from __future__ import annotations

import glob
import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myspinbot.errors import MISUSED, CommandError

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".avif"})


@dataclass(frozen=True, slots=True)
class Inputs:
    """The files and words of one job."""

    photos: tuple[Path, ...]
    voice: Path | None
    script: str


def find_photos(given: Iterable[str]) -> tuple[Path, ...]:
    """The photos that are meant by folders, files and patterns.

    Each item may be one path, or several in one string as a shell quotes them. Raises
    CommandError for what is not there, and if there is no photo at all.
    """
    photos: dict[Path, None] = {}
    for item in given:
        for path in _paths(item):
            if path.is_dir():
                inside = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES)
                if not inside:
                    raise _missing(
                        f"There are no photos in the folder {path}.",
                        f"Put pictures there ({', '.join(sorted(PICTURES))}).",
                    )
                photos |= dict.fromkeys(inside)
            else:
                photos[readable(path, "photo")] = None
    return tuple(photos)


def readable(path: Path, what: str) -> Path:
    """The path of a file that is there; CommandError if it is not."""
    if not path.is_file():
        raise _missing(
            f"The {what} {path} is not there.",
            "Check the name; if it has spaces, put quotes around it.",
        )
    try:
        path.open("rb").close()
    except OSError as error:
        raise _missing(
            f"The {what} {path} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error
    return path


def read_script(given: str) -> str:
    """The words to speak: the text itself, what is in `@file`, or the standard input for `-`."""
    text = given
    if given == "-":
        text = sys.stdin.read()
    elif given.startswith("@"):
        path = readable(Path(given[1:]).expanduser(), "script")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise _missing(f"The script {path} is not UTF-8 text.", "Save it as UTF-8.") from error
    if not text.strip():
        raise _missing(
            "The script is empty.", "Give some text, or leave --script out to train only."
        )
    return text.strip()


def parameters(given: Iterable[str]) -> dict[str, dict[str, Any]]:
    """`kind.name=value` options as parameters by kind of stage.

    Values are JSON where they can be read as such, else text. Raises CommandError for what is
    not of this form.
    """
    found: dict[str, dict[str, Any]] = {}
    for item in given:
        place, equals, text = item.partition("=")
        kind, dot, name = place.strip().partition(".")
        if not (equals and dot and kind and name):
            raise CommandError(
                f"{item!r} is no parameter.",
                "Write kind.name=value, as in train_lora.steps=800; `myspinbot models` has them.",
                MISUSED,
            )
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        found.setdefault(kind, {})[name] = value
    return found


def _paths(item: str) -> Sequence[Path]:
    whole = Path(item).expanduser()
    if whole.exists():
        return [whole]
    try:
        words = shlex.split(item)
    except ValueError:
        words = [item]
    found: list[Path] = []
    for word in words:
        path = Path(word).expanduser()
        pattern = path.name if glob.has_magic(path.name) else None
        found += (sorted(path.parent.glob(pattern)) if pattern else []) or [path]
    return found


def _missing(cause: str, remedy: str) -> CommandError:
    return CommandError(cause, remedy, MISUSED)
