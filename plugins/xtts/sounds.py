"""Which sounds a spoken text has, roughly, in any of the languages: for lips, not for ears.

Letters of every script are written in Latin ones, and these read as in most languages of Europe.
"""

# ruff: noqa: RUF001 - sounds are written in IPA

import re

from anyascii import anyascii

_SOUNDS = {
    "sch": "ʃ", "sh": "ʃ", "ch": "ʧ", "th": "θ", "ph": "f", "ng": "ŋ", "ck": "k", "qu": "kw",
    "oo": "u", "ou": "u", "ee": "i", "ea": "i", "ie": "i", "ai": "ɛ", "ay": "ɛ", "au": "ɔ",
    "a": "ɑ", "b": "b", "c": "k", "d": "d", "e": "ɛ", "f": "f", "g": "ɡ", "h": "h", "i": "ɪ",
    "j": "ʤ", "k": "k", "l": "l", "m": "m", "n": "n", "o": "ɔ", "p": "p", "q": "k", "r": "ɹ",
    "s": "s", "t": "t", "u": "u", "v": "v", "w": "w", "x": "ks", "y": "i", "z": "z",
}  # fmt: skip
_LETTERS = re.compile("|".join(sorted(_SOUNDS, key=len, reverse=True)))


def sounds(text):
    """The sounds of a word in IPA, one symbol each."""
    return "".join(_SOUNDS[found] for found in _LETTERS.findall(anyascii(text).lower()))
