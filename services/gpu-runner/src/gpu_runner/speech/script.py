"""The words to be spoken, as a stranger typed them: checked, cut into sentences, spelled out.

Two texts are kept of each sentence: the one that is shown in subtitles, and the one that
is read aloud, in which signs, units and addresses are words. Pure: text in, text out.
"""

# ruff: noqa: RUF001 - typographic signs are looked for.

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from gpu_runner.plain_text import decoded, without_controls
from gpu_runner.speech.language import foreign_language
from gpu_runner.speech.markup import plain
from gpu_runner.speech.reading import spell_out
from gpu_runner.stage import StageError

LONGEST_SCRIPT = 20_000
"""Characters; about twenty minutes of speech, and what the gateway takes."""

_ABBREVIATIONS = frozenset(
    {"dr", "mr", "mrs", "ms", "prof", "st", "jr", "sr", "vs", "etc", "no", "fig", "approx",
     "dept", "est", "inc", "ltd", "co", "e.g", "i.e", "a.m", "p.m", "u.s", "u.k", "mt", "capt",
     "gen", "lt", "sgt", "rev", "ph.d", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep",
     "sept", "oct", "nov", "dec"}
)  # fmt: skip
_MAY_END = frozenset({"a.m", "p.m", "etc", "ph.d"})
"""Abbreviations that end a sentence too, if a capital follows."""

_SENTENCE_END = re.compile(r"""[.!?…]+["'”’»)\]]*(?=\s)|\n\s*""")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence: as shown, as read aloud, and whether a new paragraph follows it."""

    shown: str
    read: str
    ends_paragraph: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """What is to be spoken, and how much of what was typed is not.

    `marks` counts tags and signs of markup that were taken out, `emoji` pictures.
    """

    sentences: tuple[Sentence, ...]
    marks: int
    emoji: int


def parse_script(data: bytes, limit: int = LONGEST_SCRIPT) -> Script:
    """Decode and check a script, take out markup and emoji, and cut it into sentences.

    Raises:
        StageError: `script-not-text` (not UTF-8), `script-empty`, `script-too-long`,
            `script-not-english-letters` (another alphabet), `script-not-english` (another
            language), `script-not-speakable` (only signs). Messages give counts, never the text.

    """
    typed = _decode(data)
    if not typed.strip():
        raise StageError("script-empty", "the script is empty", "Write what should be said")
    if len(typed) > limit:
        raise StageError(
            "script-too-long",
            f"the script has {len(typed)} characters, at most {limit} are spoken at once",
            "Shorten it, or make several videos",
        )
    cleaned = plain(typed)
    text = _visible(cleaned.text)
    _refuse_foreign(text)
    sentences = tuple(
        sentence for sentence in _sentences(text) if re.search(r"[A-Za-z0-9]", sentence.read)
    )
    if not sentences:
        raise StageError(
            "script-not-speakable",
            "the script has no letter and no digit, so there is nothing to say",
            "Write what should be said in words",
        )
    return Script(sentences, cleaned.marks, cleaned.emoji)


def read_script(data: bytes, limit: int = LONGEST_SCRIPT) -> list[Sentence]:
    """The sentences of a script; see `parse_script`."""
    return list(parse_script(data, limit).sentences)


def _refuse_foreign(text: str) -> None:
    foreign = sum(1 for character in text if _is_foreign_letter(character))
    if foreign:
        raise StageError(
            "script-not-english-letters",
            f"{foreign} letters of the script are not of the Latin alphabet,"
            " and this voice reads English only",
            "Write the script in English, foreign names in Latin letters",
        )
    language = foreign_language(text)
    if language:
        raise StageError(
            "script-not-english",
            f"the script is in {language}, and this voice reads English only",
            "Write the script in English, or choose an engine that speaks its language",
        )


def _decode(data: bytes) -> str:
    text = unicodedata.normalize("NFC", decoded(data, "script"))
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").strip()


def _visible(text: str) -> str:
    return re.sub(r"[^\S\n]+", " ", without_controls(text)).strip()


def _is_foreign_letter(character: str) -> bool:
    if not character.isalpha() or character.isascii():
        return False
    name = unicodedata.name(character, "")
    return not name.startswith(("LATIN", "FEMININE ORDINAL", "MASCULINE ORDINAL", "MICRO"))


def _sentences(text: str) -> list[Sentence]:
    found: list[Sentence] = []
    start = 0
    for match in _SENTENCE_END.finditer(text + "\n"):
        line_break = match[0].startswith("\n")
        piece = text[start : match.end()]
        if not line_break and (_is_abbreviation(piece, text[match.end() :]) or _is_number(piece)):
            continue
        shown = " ".join(text[start : match.end()].split())
        more = match.end() < len(text)
        if shown:
            found.append(Sentence(shown, spell_out(shown), ends_paragraph=line_break and more))
        elif line_break and more and found:
            found[-1] = Sentence(found[-1].shown, found[-1].read, ends_paragraph=True)
        start = match.end()
    return found


def _is_abbreviation(piece: str, rest: str) -> bool:
    """Whether the piece ends in a full stop that ends no sentence: "Dr.", "e.g.", "J."."""
    word = piece.rsplit(None, 1)[-1] if piece.split() else ""
    if not word.endswith("."):
        return False
    stem = word[:-1].lstrip("(\"'“‘«").lower()
    if stem in _MAY_END and re.match(r"\s+[A-Z]", rest):
        return False
    return stem in _ABBREVIATIONS or re.fullmatch(r"[A-HJ-Z]", word[:-1]) is not None


def _is_number(piece: str) -> bool:
    """Whether the piece is the number of an item of a list."""
    return re.fullmatch(r"\s*\d{1,3}\.", piece) is not None
