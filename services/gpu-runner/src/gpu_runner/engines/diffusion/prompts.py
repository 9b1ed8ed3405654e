"""How a base that has seen photographs is asked for a picture of the person."""

from __future__ import annotations


def photo_of(trigger: str, wish: str) -> str:
    """The prompt that calls the person, and then what the user wishes, on one line."""
    called = f"portrait photo of {trigger} person"
    return ", ".join(part for part in (called, " ".join(wish.split())) if part)
