"""The words to be spoken, as a stranger typed them: checked, cut into sentences, spelled out.

Two texts are kept of each sentence: the one that is shown in subtitles, and the one that
is read aloud, in which signs, units and addresses are words. Pure: text in, text out.
"""

# ruff: noqa: RUF001 - the confusable signs here are the ones that are replaced.

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from gpu_runner.stage import StageError

LONGEST_SCRIPT = 5_000
"""Characters; about six minutes of speech."""

_ALIKE = str.maketrans(
    {
        "‘": "'", "’": "'", "‚": "'", "ʼ": "'", "“": '"', "”": '"', "„": '"',
        "«": '"', "»": '"', "…": "...", "\u2010": "-", "\u2011": "-",
    }
)  # fmt: skip
_SPELLED_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l",
     "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i"}
)  # fmt: skip
_SIGNS = {"+": "plus", "=": "equals", "°": "degrees", "×": "times", "÷": "divided by"}
_UNITS = {
    "km": "kilometers", "cm": "centimeters", "mm": "millimeters", "kg": "kilograms",
    "kHz": "kilohertz", "MHz": "megahertz", "GHz": "gigahertz", "Hz": "hertz",
    "GB": "gigabytes", "MB": "megabytes", "kB": "kilobytes", "ms": "milliseconds",
}  # fmt: skip
_DECADES = ("", "tens", "twenties", "thirties", "forties", "fifties", "sixties", "seventies",
            "eighties", "nineties")  # fmt: skip
_LATIN = {"e.g.": "for example", "i.e.": "that is", "etc.": "et cetera", "vs.": "versus"}
_ABBREVIATIONS = frozenset(
    {"dr", "mr", "mrs", "ms", "prof", "st", "jr", "sr", "vs", "etc", "no", "fig", "approx",
     "dept", "est", "inc", "ltd", "co", "e.g", "i.e", "a.m", "p.m", "u.s"}
)  # fmt: skip
_SENTENCE_END = re.compile(r"""[.!?…]+["'”’»)\]]*(?=\s)|\n\s*""")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence: as shown, as read aloud, and whether a new paragraph follows it."""

    shown: str
    read: str
    ends_paragraph: bool = False


def read_script(data: bytes, limit: int = LONGEST_SCRIPT) -> list[Sentence]:
    """Decode and check a script, and cut it into sentences.

    Raises:
        StageError: `script-not-text` (not UTF-8), `script-empty`, `script-too-long`,
            `script-not-english-letters` (another alphabet), `script-not-speakable` (only
            signs). Messages give counts, never the text.

    """
    text = _decode(data)
    if not text:
        raise StageError("script-empty", "the script is empty", "Write what should be said")
    if len(text) > limit:
        raise StageError(
            "script-too-long",
            f"the script has {len(text)} characters, at most {limit} are spoken at once",
            "Shorten it, or make several videos",
        )
    foreign = sum(1 for character in text if _is_foreign_letter(character))
    if foreign:
        raise StageError(
            "script-not-english-letters",
            f"{foreign} letters of the script are not of the Latin alphabet,"
            " and this voice reads English only",
            "Write the script in English, foreign names in Latin letters",
        )
    sentences = [
        sentence for sentence in _sentences(text) if re.search(r"[A-Za-z0-9]", sentence.read)
    ]
    if not sentences:
        raise StageError(
            "script-not-speakable",
            "the script has no letter and no digit, so there is nothing to say",
            "Write what should be said in words",
        )
    return sentences


def spell_out(text: str) -> str:
    """The text as it is read aloud: plain ASCII, with signs, units and addresses as words."""
    text = unicodedata.normalize("NFKD", text.translate(_ALIKE).translate(_SPELLED_LETTERS))
    text = re.sub(r"\s*(?:—|–|--+)\s*|\s-\s", ", ", text)
    text = "".join(_SIGNS_SPOKEN.get(c, c) for c in text if not unicodedata.combining(c))
    for short, long in _LATIN.items():
        text = re.sub(rf"\b{re.escape(short)}(?=[\s,;:)]|$)", long, text, flags=re.IGNORECASE)
    text = re.sub(r"https?://", "", text)
    text = re.sub(r"(?<=\w)@(?=\w)", " at ", text)
    text = re.sub(r"(?<=[a-z])\.(?=[a-z]{2,})", " dot ", text)
    text = re.sub(r"#\s*(?=\d)", "number ", text)
    text = re.sub(r"\b(\d\d)([1-9])0s\b", lambda m: f"{m[1]} {_DECADES[int(m[2])]}", text)
    text = re.sub(rf"(?<=\d)\s*({'|'.join(_UNITS)})\b", lambda m: f" {_UNITS[m[1]]}", text)
    text = re.sub(r"(?<=\d)(?!(?:st|nd|rd|th|s)\b)(?=[A-Za-z])", " ", text)
    text = re.sub(r"\b[A-Z]{5,}\b", lambda m: m[0].lower(), text)
    text = re.sub(r"[^A-Za-z0-9\s.,;:!?'$€£%&/-]", " ", text)
    return " ".join(text.split())


_SIGNS_SPOKEN = {sign: f" {word} " for sign, word in _SIGNS.items()}


def _decode(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StageError(
            "script-not-text", "the script is not text in UTF-8", "Send it as plain text"
        ) from error
    text = unicodedata.normalize("NFC", text)
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n")
    # Format and control characters are neither shown nor spoken.
    kept = (c for c in text if c in "\n\t" or unicodedata.category(c)[0] != "C")
    return re.sub(r"[^\S\n]+", " ", "".join(kept)).strip()


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
        if not line_break and _is_abbreviation(text[start : match.end()]):
            continue
        shown = " ".join(text[start : match.end()].split())
        more = match.end() < len(text)
        if shown:
            found.append(Sentence(shown, spell_out(shown), ends_paragraph=line_break and more))
        elif line_break and more and found:
            found[-1] = Sentence(found[-1].shown, found[-1].read, ends_paragraph=True)
        start = match.end()
    return found


def _is_abbreviation(piece: str) -> bool:
    """Whether the piece ends in a full stop that ends no sentence: "Dr.", "e.g.", "J."."""
    word = piece.rsplit(None, 1)[-1] if piece.split() else ""
    if not word.endswith("."):
        return False
    stem = word[:-1].lstrip("(\"'“‘«")
    return stem.lower() in _ABBREVIATIONS or re.fullmatch(r"[A-HJ-Z]", stem) is not None
