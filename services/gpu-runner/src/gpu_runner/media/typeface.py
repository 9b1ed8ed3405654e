"""The typeface of all that is written into pictures: Aileron, which Pillow carries within itself.

So every machine draws the same. It has the letters of English; accents are left away, other
scripts are refused.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import ImageFont

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

_PLAIN = str.maketrans({"\u2013": "-", "\u2014": "-", "\u2212": "-", "\u00a0": " "})


class UndrawableError(ValueError):
    """The typeface lacks letters of a text."""


@lru_cache(8)
def typeface(size: int) -> FreeTypeFont:
    """The typeface with letters of `size` pixels."""
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("this Pillow was built without FreeType")
    return font


def printable(text: str, font: FreeTypeFont) -> str:
    """`text` in letters that the typeface has, without line breaks; UndrawableError if it cannot.

    Signs without a letter's meaning, such as emoji, are left away.
    """
    plain = unicodedata.normalize("NFKD", " ".join(text.split()).translate(_PLAIN))
    kept = "".join(letter for letter in plain if not unicodedata.combining(letter))
    missing = bytes(font.getmask("\U000e0fff"))
    if any(bytes(font.getmask(letter)) == missing for letter in {*kept} if letter.isalpha()):
        raise UndrawableError
    drawn = (one for one in kept if one == " " or bytes(font.getmask(one)) != missing)
    return " ".join("".join(drawn).split())
