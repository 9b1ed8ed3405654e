"""English text to the phoneme symbols that Kokoro was trained on.

gruut (MIT) finds the pronunciation of each word, of numbers, dates and money too; its
IPA is rewritten here as Kokoro's one-character symbols: diphthongs A I O W Y, affricates as
ligatures, r-coloured vowels as vowel and ɹ, no length marks.
"""

# ruff: noqa: RUF001, RUF002 - phonetic symbols that look like letters are not them.

from __future__ import annotations

from dataclasses import dataclass

STRESS = "ˈˌ"
PAUSES = ",.;:!?…—"

_DIPHTHONGS = {"eɪ": "A", "aɪ": "I", "oʊ": "O", "aʊ": "W", "ɔɪ": "Y"}
_AFFRICATES = {"tʃ": "ʧ", "dʒ": "ʤ"}
_SINGLE = {"ɚ": "əɹ", "ɝ": "ɜɹ", "g": "ɡ", "r": "ɹ", "ɫ": "l", "ɐ": "ɐ", "e": "A", "o": "O",
           "a": "ɑ"}  # fmt: skip
_DROPPED = "\u0361\u035c\u0329\u032fːˑ"


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it is spoken ("twenty", not "20") and its symbols' place in the phonemes."""

    text: str
    first: int
    past: int


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """One sentence in Kokoro's symbols, words parted by spaces, with its punctuation."""

    symbols: str
    words: tuple[Word, ...]


def pronounce(text: str) -> Pronunciation:
    """Look up how an English sentence is pronounced.

    `text` is what `reading.spell_out` returns. The result has no words if nothing in the
    text can be spoken.
    """
    import gruut

    symbols = ""
    words: list[Word] = []
    for sentence in gruut.sentences(text, lang="en-us", ssml=False):
        for token in sentence:
            if token.phonemes and (token.is_minor_break or token.is_major_break):
                symbols = symbols.rstrip(" " + PAUSES) + _pause(token.text, token.is_major_break)
            elif token.phonemes:
                spoken = "".join(kokoro_symbols(phoneme) for phoneme in token.phonemes)
                separator = " " if symbols else ""
                first = len(symbols) + len(separator)
                symbols += separator + spoken
                words.append(Word(token.text, first, first + len(spoken)))
    symbols = symbols.lstrip(" " + PAUSES) if not words else symbols
    if words and symbols[-1] not in ".!?":
        symbols = symbols.rstrip(" " + PAUSES) + "."
    return Pronunciation(symbols, tuple(words))


def kokoro_symbols(phoneme: str) -> str:
    """One phoneme of gruut's ("ˈoʊ", "t͡ʃ") in Kokoro's symbols ("ˈO", "ʧ")."""
    stress = phoneme[0] if phoneme[:1] and phoneme[0] in STRESS else ""
    plain = "".join(c for c in phoneme if c not in STRESS and c not in _DROPPED)
    if stress and plain == "ɚ":
        return stress + "ɜɹ"
    for table in (_DIPHTHONGS, _AFFRICATES, _SINGLE):
        if plain in table:
            return stress + table[plain]
    return stress + plain


def pieces(pronunciation: Pronunciation, longest: int) -> list[Pronunciation]:
    """Cut a pronunciation that is too long for the model, at a pause if there is one."""
    if len(pronunciation.symbols) <= longest:
        return [pronunciation]
    words, symbols = pronunciation.words, pronunciation.symbols
    fitting = [i for i, word in enumerate(words) if word.past < longest]
    if len(fitting) in (0, len(words)):
        raise ValueError(f"a single word of more than {longest} phonemes")
    at_pause = [i for i in fitting[len(fitting) // 2 :] if symbols[words[i].past] in PAUSES]
    last = at_pause[-1] if at_pause else fitting[-1]
    offset = words[last + 1].first
    rest = Pronunciation(
        symbols[offset:],
        tuple(Word(w.text, w.first - offset, w.past - offset) for w in words[last + 1 :]),
    )
    head = Pronunciation(symbols[:offset].rstrip(), words[: last + 1])
    return [head, *pieces(rest, longest)]


def _pause(mark: str, ends_sentence: bool) -> str:
    if ends_sentence:
        return next((c for c in mark if c in "?!"), ".")
    return mark[0] if mark[:1] in {",", ";", ":"} else ","
