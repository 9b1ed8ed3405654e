"""Lists of words, as they are written best: one after the other."""

from __future__ import annotations


def words_of(text: str) -> frozenset[str]:
    """The words of a text that are parted by white space."""
    return frozenset(text.split())
