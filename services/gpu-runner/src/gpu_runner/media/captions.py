"""Subtitles drawn into pictures: white, outlined, two lines at most, clear of the edges.

They have the letters that `gpu_runner.media.typeface` has.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from gpu_runner.media.typeface import UndrawableError, printable, typeface
from gpu_runner.speech.subtitles import cues
from gpu_runner.speech.timeline import Span
from gpu_runner.stage import StageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

# Of the picture's shorter side.
LETTERS = 0.058
# Share of the width that a line may fill, and of the height below the last line. Upright videos
# are watched where buttons cover the lower edge.
WIDTH, BOTTOM, UPRIGHT_BOTTOM = 0.86, 0.06, 0.14
MOST_LINES = 2
# How much longer than their mean lines may be: the first that needs no further line is taken.
EVENNESS = (1.05, 1.15, 1.3, 1.5)
OUTLINE, SHADOW = 0.09, 0.16
SPACING = 0.22
_TIME = re.compile(r"(?:(\d+):)?(\d\d):(\d\d)\.(\d{3})")
_TAG = re.compile(r"<[^>]*>")


def read_webvtt(path: Path) -> list[Span]:
    """The cues of a WebVTT file (https://www.w3.org/TR/webvtt1/), without settings and tags.

    Raises:
        StageError: `subtitles-unreadable`.

    """
    try:
        text = path.read_text("utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise _unreadable() from error
    if not text.startswith("WEBVTT"):
        raise _unreadable()
    found = []
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = block.strip().split("\n")
        timing = next((number for number, line in enumerate(lines[:2]) if "-->" in line), None)
        if timing is None:
            continue
        times = _TIME.findall(lines[timing])
        if len(times) != 2:
            raise _unreadable()
        start, end = (
            int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(thousandths) / 1000
            for hours, minutes, seconds, thousandths in times
        )
        spoken = html.unescape(_TAG.sub("", " ".join(lines[timing + 1 :]))).strip()
        if spoken and end > start:
            found.append(Span(spoken, start, end))
    return sorted(found, key=lambda cue: cue.start)


def cues_of(words: Iterable[Span]) -> list[Span]:
    """Cues of words in order, none across the end of a sentence."""
    found: list[Span] = []
    sentence: list[Span] = []
    for word in words:
        sentence.append(word)
        if word.text.rstrip("\"')\u201d\u2019")[-1:] in {".", "!", "?", "\u2026"}:
            found += cues(sentence)
            sentence = []
    return found + (cues(sentence) if sentence else [])


class Captions:
    """Draws the cue of the moment. Any thread may use it."""

    def __init__(self, spans: Sequence[Span], width: int, height: int) -> None:
        """Lay out cues for frames of `width` and `height` pixels.

        Raises:
            StageError: `subtitles-undrawable` if the typeface lacks their script.

        """
        self._size = round(LETTERS * min(width, height))
        self._frame = (width, height)
        self._font = typeface(self._size)
        self._cues = [part for cue in spans for part in self._parts(cue)]
        self._starts = [cue.start for cue in self._cues]
        self._strip = lru_cache(4)(self._drawn)

    @property
    def cues(self) -> tuple[Span, ...]:
        """What is drawn when; line breaks as in the picture."""
        return tuple(self._cues)

    def draw(self, rgb: NDArray[np.uint8], seconds: float) -> None:
        """Draw what is said at `seconds` into `rgb` (height, width, 3), in place."""
        number = bisect_right(self._starts, seconds) - 1
        if number < 0 or seconds >= self._cues[number].end:
            return
        (left, top), letters, alpha = self._strip(number)
        height, width = alpha.shape
        window = rgb[top : top + height, left : left + width]
        window[:] = cv2.blendLinear(letters, np.ascontiguousarray(window), alpha, 1 - alpha)

    def _parts(self, cue: Span) -> list[Span]:
        """`cue` in pieces of at most two lines that fit, each with its share of the time."""
        try:
            text = printable(cue.text, self._font)
        except UndrawableError as error:
            raise StageError(
                "subtitles-undrawable",
                "the subtitles have letters that cannot be drawn into the picture",
                "Leave burn_subtitles off; the subtitles are delivered as a file of their own.",
            ) from error
        lines = self._wrapped(text)
        if len(lines) <= MOST_LINES:
            return [Span("\n".join(lines), cue.start, cue.end)] if text else []
        gaps = [at for at, letter in enumerate(text) if letter == " "] or [len(text) // 2]
        cut = min(gaps, key=lambda at: abs(at - len(text) / 2))
        turn = cue.start + (cue.end - cue.start) * cut / len(text)
        return [
            *self._parts(Span(text[:cut], cue.start, turn)),
            *self._parts(Span(text[cut:], turn, cue.end)),
        ]

    def _wrapped(self, text: str) -> list[str]:
        """`text` in as few lines as fit, of about the same length; a longer word is cut."""
        room = WIDTH * self._frame[0]
        words, length = text.split(), self._font.getlength(text)
        count = max(1, int(np.ceil(length / room)))
        for slack in EVENNESS:
            lines = self._broken(words, min(room, slack * length / count))
            if len(lines) <= count:
                return lines
        return self._broken(words, room)

    def _broken(self, words: list[str], room: float) -> list[str]:
        lines: list[str] = []
        for word in words:
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and self._font.getlength(longer) <= room:
                lines[-1] = longer
            else:
                lines += self._cut(word)
        return lines

    def _cut(self, word: str) -> list[str]:
        pieces = [""]
        for letter in word:
            if self._font.getlength(pieces[-1] + letter) > WIDTH * self._frame[0]:
                pieces.append("")
            pieces[-1] += letter
        return pieces

    def _drawn(self, number: int) -> tuple[tuple[int, int], NDArray[np.uint8], NDArray[np.float32]]:
        """A cue as its place (left, top), colours (height, width, 3) and coverage 0-1."""
        width, height = self._frame
        lines = self._cues[number].text.split("\n")
        outline, pad = max(1, round(OUTLINE * self._size)), self._size // 2
        tall = round(len(lines) * self._size * (1 + SPACING)) + 2 * pad
        mask, white = Image.new("L", (width, tall)), Image.new("L", (width, tall))
        for row, line in enumerate(lines):
            at = (width / 2, pad + (row * (1 + SPACING) + 0.5) * self._size)
            for image, stroke in ((mask, outline), (white, 0)):
                ImageDraw.Draw(image).text(
                    at, line, 255, font=self._font, anchor="mm", stroke_width=stroke
                )
        shadow = mask.filter(ImageFilter.GaussianBlur(SHADOW * self._size))
        alpha = np.maximum(np.asarray(mask, np.float32), 0.8 * np.asarray(shadow, np.float32)) / 255
        letters = np.repeat(np.asarray(white, np.uint8)[..., None], 3, axis=2)
        bottom = (UPRIGHT_BOTTOM if height > width else BOTTOM) * height
        top = max(0, round(height - bottom - tall + pad))
        rows = min(tall, height - top)
        return (0, top), np.ascontiguousarray(letters[:rows]), np.ascontiguousarray(alpha[:rows])


def _unreadable() -> StageError:
    return StageError(
        "subtitles-unreadable",
        "the subtitles are not a WebVTT file",
        "Use the subtitles that are written beside the speech.",
    )
