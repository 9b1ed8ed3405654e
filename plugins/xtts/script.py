"""The words to be spoken: cut into what XTTS says at once, each with the words as written.

XTTS speaks a cleaned text: numbers and signs as words, Chinese and Japanese romanised. When each
written word is said follows from where it is in that text.
"""

# ruff: noqa: RUF001 - signs of Chinese and Japanese are looked for

import re
import unicodedata
from dataclasses import dataclass

import pysbd
from pysbd.languages import LANGUAGE_CODES
from telling import UnusableError

_UNSPACED = ("zh", "ja")
_UNSAID = ("So", "Cc", "Cs", "Co", "Cn")
_PIECE = re.compile(r"[^、。,，.！？!?；;：:…]+[、。,，.！？!?；;：:…]*")
_ENDS_AT = re.compile(r"(?<=[,;:，、；：])\s*|\s+")


@dataclass(frozen=True)
class Word:
    """A word as written, and its place in the spoken text: characters from `first` to `past`."""

    shown: str
    first: int
    past: int


@dataclass(frozen=True)
class Sentence:
    """What is said at once."""

    spoken: str
    words: tuple


def read(path, language, tokenizer, longest):
    """The sentences of a script; UnusableError if nothing in it can be said."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnusableError(
            "script-not-text", "the script is not text in UTF-8", "Send it as plain text"
        ) from error
    if len(text) > longest:
        raise UnusableError(
            "script-too-long",
            f"the script has {len(text)} characters, at most {longest} are spoken at once",
            "Shorten it, or make several videos",
        )
    code = language.split("-")[0]
    limit = tokenizer.char_limits[code]
    found = [
        sentence(piece, code, tokenizer)
        for line in _visible(text).splitlines()
        for whole in _sentences(line, code)
        for piece in _fitting(whole, limit)
    ]
    found = [each for each in found if each.words]
    if not found:
        raise UnusableError(
            "script-not-speakable", "the script has nothing to say", "Write what should be said"
        )
    return found


def sentence(text, code, tokenizer):
    """One sentence as it is spoken and written."""
    if code in _UNSPACED:
        return _unspaced(text, code, tokenizer)
    spoken, words = "", []
    for shown in text.split():
        said = tokenizer.preprocess_text(shown.lower(), code).strip()
        if not said:
            continue
        first = len(spoken) + bool(spoken)
        spoken += f"{' ' * bool(spoken)}{said}"
        if re.search(r"\w", said):
            words.append(Word(shown, first, len(spoken)))
        elif words:
            words[-1] = Word(f"{words[-1].shown} {shown}", words[-1].first, len(spoken))
    return Sentence(spoken, tuple(words))


def _unspaced(text, code, tokenizer):
    """Pieces between punctuation, which share the spoken text by their length."""
    spoken = tokenizer.preprocess_text(text.lower(), code).strip()
    pieces = [each for each in _PIECE.findall(text) if re.search(r"\w", each)]
    total = sum(map(len, pieces))
    words, done = [], 0
    for piece in pieces:
        first, done = done, done + len(piece)
        words.append(Word(piece, len(spoken) * first // total, max(len(spoken) * done // total, 1)))
    return Sentence(spoken, tuple(words))


def _visible(text):
    """Without pictures and control characters, which nobody can say."""
    return "".join(
        each
        for each in text.replace("\t", " ")
        if each == "\n" or unicodedata.category(each) not in _UNSAID
    )


def _sentences(line, code):
    # Rules for a language that it does not know are nearest to those of English.
    language = code if code in LANGUAGE_CODES else "en"
    return [
        each.strip()
        for each in pysbd.Segmenter(language=language, clean=False).segment(line)
        if each.strip()
    ]


def _fitting(text, limit):
    """The text, in pieces of no more characters than XTTS says well at once."""
    while len(text) > limit:
        ends = [match.end() for match in _ENDS_AT.finditer(text) if 0 < match.end() <= limit]
        after_clause = [end for end in ends if text[:end].rstrip()[-1:] in ",;:，、；："]
        cut = next((each for each in (after_clause, ends) if each), [limit])[-1]
        yield text[:cut].strip()
        text = text[cut:].strip()
    yield text
