"""The sample input that the project ships: a drawn character, a synthetic voice, a few words."""

from __future__ import annotations

from pathlib import Path

from myspinbot.errors import CommandError

FACE = "a drawn character's face"
VOICE = "a packaged voice"
WHO = f"nobody: {FACE} and {VOICE}"
"""Whose face and voice the samples are."""


def folder() -> Path:
    """The folder of the samples, found from where this program lies in its repository."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "samples" / "photos").is_dir():
            return parent / "samples"
    raise CommandError(
        "The sample input is not here: this program runs outside of its repository.",
        "Give your own with --photos, --voice and --script.",
    )


def photos() -> str:
    """The folder of the sample photos."""
    return str(folder() / "photos")


def voice() -> Path:
    """The sample recording."""
    found = sorted(folder().glob("voice.*"))
    if not found:
        raise CommandError(f"There is no voice clip in {folder()}.", "Give your own with --voice.")
    return found[0]


def script() -> str:
    """What the sample character says."""
    return (folder() / "script.txt").read_text(encoding="utf-8").strip()
