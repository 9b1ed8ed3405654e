"""How written English is read aloud, as far as the pronouncing dictionary does not know it itself.

The dictionary's own rules read "$3.50", "50%", "3/5/2026", "14:30" and "21st". They drop what they
do not know ("1/2", "2.0.1", "17:00:05") or spell it; that is put into words here first. Dates in
digits are read month first, as in American English. Pure.
"""

# ruff: noqa: RUF001 - the confusable signs here are the ones that are replaced.

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from gpu_runner.speech import numerals
from gpu_runner.speech.capitals import calm

_ALIKE = str.maketrans(
    {
        "‘": "'", "’": "'", "‚": "'", "ʼ": "'", "“": '"', "”": '"', "„": '"',
        "«": '"', "»": '"', "…": "...", "\u2010": "-", "\u2011": "-", "\u2212": "-",
        "²": " squared ", "³": " cubed ",
    }
)  # fmt: skip
_SPELLED_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l",
     "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i"}
)  # fmt: skip
_SIGNS = {
    "+": "plus", "=": "equals", "°": "degrees", "×": "times", "÷": "divided by",
    "±": "plus or minus", "≥": "at least", "≤": "at most", "≈": "about", "≠": "is not",
}  # fmt: skip
_SIGNS_SPOKEN = {sign: f" {word} " for sign, word in _SIGNS.items()}
_UNITS = {
    "km/h": "kilometers per hour", "m/s": "meters per second", "MB/s": "megabytes per second",
    "Mbit/s": "megabits per second", "mph": "miles per hour", "fps": "frames per second",
    "km": "kilometers", "cm": "centimeters", "mm": "millimeters", "m": "meters", "ft": "feet",
    "kg": "kilograms", "g": "grams", "mg": "milligrams", "lbs": "pounds", "lb": "pounds",
    "oz": "ounces", "ml": "milliliters", "L": "liters", "l": "liters", "kHz": "kilohertz",
    "MHz": "megahertz", "GHz": "gigahertz", "Hz": "hertz", "TB": "terabytes", "GB": "gigabytes",
    "MB": "megabytes", "kB": "kilobytes", "KB": "kilobytes", "kWh": "kilowatt hours",
    "kW": "kilowatts", "W": "watts", "ms": "milliseconds", "s": "seconds", "min": "minutes",
    "h": "hours",
}  # fmt: skip
_SINGULARS = {"feet": "foot", "hertz": "hertz", "kilohertz": "kilohertz",
              "megahertz": "megahertz", "gigahertz": "gigahertz"}  # fmt: skip
_SHORT = {
    "e.g.": "for example", "i.e.": "that is", "etc.": "et cetera", "vs.": "versus",
    "approx.": "approximately", "Ph.D.": "P H D", "Capt.": "Captain", "Gen.": "General",
    "Lt.": "Lieutenant", "Sgt.": "Sergeant", "Rev.": "Reverend", "Fig.": "figure",
    "w/": "with", "w/o": "without",
}  # fmt: skip
_COIN = {"¥": "yen", "₹": "rupees", "₩": "won", "₽": "rubles", "₿": "bitcoin"}
_SCALE = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "bn": "billion",
          "B": "billion", "thousand": "thousand", "million": "million", "billion": "billion",
          "trillion": "trillion"}  # fmt: skip
_NAMED_COIN = {"$": "dollars", "€": "euros", "£": "pounds"} | _COIN
_CODE_POINTS = "".join(_COIN)

Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]


def spell_out(text: str) -> str:
    """The text as it is read aloud: plain ASCII, with signs, units and addresses as words."""
    text = text.translate(_ALIKE).translate(_SPELLED_LETTERS)
    text = re.sub(r"(?<=\d)(?=[\u00bc-\u00be\u2150-\u215e])", " ", text)
    text = unicodedata.normalize("NFKD", text).replace("\u2044", "/")
    text = "".join(c for c in text if not unicodedata.combining(c))
    for pattern, replacement in _BEFORE_SIGNS:
        text = pattern.sub(replacement, text)
    text = "".join(_SIGNS_SPOKEN.get(c, c) for c in text)
    for pattern, replacement in _AFTER_SIGNS:
        text = pattern.sub(replacement, text)
    text = re.sub(r"[^A-Za-z0-9\s.,;:!?'$€£%&/-]", " ", calm(text))
    return " ".join(text.split())


def _address(match: re.Match[str]) -> str:
    """A web address as people say it: the host and the path's words, no query."""
    host, path = match["host"], (match["path"] or "").rstrip("/.,;:!?)'\"")
    ended = match[0][len(match[0].rstrip(".,;:!?)'\"")) :]
    said = host.removeprefix("www.").rstrip(".").replace(".", " dot ")
    parts = [re.sub(r"[-_.]+", " ", part) for part in path.split("/") if part]
    return " slash ".join([said, *parts]) + ended


def _unit(match: re.Match[str]) -> str:
    words = _UNITS[match["unit"]]
    if match["number"] == "1":
        first, *rest = words.split(" ", 1)
        words = " ".join([_SINGULARS.get(first, first.removesuffix("s")), *rest])
    return f"{match['number']} {words}"


def _money(match: re.Match[str]) -> str:
    coin = _NAMED_COIN[match["coin"]]
    scale = _SCALE.get(match["scale"] or "")
    return " ".join(part for part in (match["number"], scale, coin) if part)


def _degrees(match: re.Match[str]) -> str:
    one = re.fullmatch(r"-?1", match["number"]) is not None
    name = {"C": "Celsius", "F": "Fahrenheit"}[match["scale"]]
    return f"{match['number']} degree{'' if one else 's'} {name}"


def _rules(*rules: tuple[str, str | Callable[[re.Match[str]], str]]) -> tuple[Rule, ...]:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in rules)


# Bounded, since a stranger's text of digits and commas would be searched for minutes otherwise.
_NUMBER = r"\d[\d,]{0,24}(?:\.\d{1,12})?"
_COINS = "".join(map(re.escape, _NAMED_COIN))
_SCALES = "|".join(sorted(_SCALE, key=len, reverse=True))
_PATH = r"(?P<path>/[^\s?#]*)?(?:[?#]\S*)?"
_TOP_LEVEL = "com|org|net|io|dev|edu|gov|co|ai|de|eu|uk"
_LETTER_UNITS = "".join(unit for unit in _UNITS if len(unit) == 1)
_LONG_UNITS = "|".join(sorted((unit for unit in _UNITS if len(unit) > 1), key=len, reverse=True))
_BEFORE_SIGNS = _rules(
    (rf"https?://(?P<host>[\w-]+(?:\.[\w-]+)*)(?::\d+)?{_PATH}", _address),
    (rf"\b(?P<host>www\.[\w-]+(?:\.[\w-]+)+){_PATH}", _address),
    (rf"(?<![\w@/.-])(?P<host>(?:[a-z0-9-]{{1,63}}\.){{1,5}}(?:{_TOP_LEVEL})\b){_PATH}", _address),
    (r"(?<=\d)\s?[–—]\s?(?=\d)", "-"),
    (numerals.PHONE, numerals.phone),
    (r"\s*(?:—|–|--+)\s*|\s-\s", ", "),
    (r"\bC#", "C sharp"),
    (r"(?<!\w)~\s?(?=[\d$€£])", "about "),
    (r"<\s?(?=[\d$€£])", " less than "),
    (r">\s?(?=[\d$€£])", " more than "),
    (r"(?<=\d)\^(?=\d)", " to the power of "),
    (rf"(?P<number>-?{_NUMBER})\s?°\s?(?P<scale>[CF])\b", _degrees),
    (rf"(?P<number>{_NUMBER})\s?(?P<sign>[€$£])(?!\d)", r"\g<sign>\g<number>"),
    (rf"(?P<coin>[{_COINS}])\s?(?P<number>{_NUMBER})\s?(?P<scale>{_SCALES})\b", _money),
    (rf"(?P<coin>[{_CODE_POINTS}])\s?(?P<number>{_NUMBER})(?P<scale>)", _money),
)  # fmt: skip
_AFTER_SIGNS = _rules(
    *(
        (rf"(?<!\w){re.escape(short)}(?=[\s,;:)]|$)", long)
        for short, long in _SHORT.items()
    ),
    (r"(?<=\w)@(?=\w)", " at "),
    (r"(?<=[a-z])\.(?=[a-z]{2,})", " dot "),
    (r"#\s*(?=\d)", "number "),
    (r"\band/or\b", "and or"),
    (numerals.DOTTED_DATE, numerals.dotted_date),
    (numerals.ABBREVIATED_MONTH, numerals.full_month),
    (numerals.MONTH_DAY, numerals.month_day),
    (numerals.DAY_MONTH, numerals.day_month),
    (numerals.CLOCK_SECONDS, r"\1 and \2 seconds"),
    (numerals.HALF_DAY, numerals.half_day),
    (numerals.DOTTED, lambda m: m[0].replace(".", " point ")),
    (numerals.RANGE, r"\1 to \2"),
    (numerals.FRACTION, numerals.fraction),
    (numerals.DECADE, numerals.decade),
    (numerals.ROMAN, numerals.roman),
    (rf"(?<![\w.])(?P<number>{_NUMBER}) ?(?P<unit>{_LONG_UNITS})(?![\w/])", _unit),
    (rf"(?<![\w.])(?P<number>{_NUMBER}) (?P<unit>[{_LETTER_UNITS}])(?![\w/'])", _unit),
    (r"(\b[A-Z][a-z]{3,} )?\bSt\. (?=[A-Z])", lambda m: m[0] if m[1] else "Saint "),
    (r"(?<=\d)'s\b", ""),
    (r"(?<=\d)(?!(?:st|nd|rd|th)\b)(?=[A-Za-z])|(?<=[A-Za-z])(?=\d)", " "),
    (r"(?<=[A-Za-z])/(?=[A-Za-z])", " slash "),
)  # fmt: skip
