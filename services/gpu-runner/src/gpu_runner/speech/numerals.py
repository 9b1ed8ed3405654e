"""Figures that are more than a number: fractions, telephone numbers, dates, times, Roman numerals.

Each has the pattern that finds it and a function that puts a match into words, or into a form that
the pronouncing dictionary reads. Pure.
"""

from __future__ import annotations

import re

from gpu_runner.speech.words import words_of

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
           "October", "November", "December")  # fmt: skip
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DECADES = ("", "tens", "twenties", "thirties", "forties", "fifties", "sixties", "seventies",
            "eighties", "nineties")  # fmt: skip
_PARTS = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 6: "sixth", 7: "seventh", 8: "eighth",
          9: "ninth", 10: "tenth", 12: "twelfth", 16: "sixteenth", 20: "twentieth",
          100: "hundredth"}  # fmt: skip
_RULERS = words_of("""
    Henry Louis Charles James George Edward William Elizabeth Mary Richard John Paul Pius
    Benedict Leo Philip Frederick Alexander Peter Catherine Nicholas Napoleon Ramses Ivan Otto
    Wilhelm Francis Gregory Innocent Urban Clement Julius Ferdinand Joseph Leopold Albert Carl
    Gustav Christian Haakon Olav Xerxes Darius Ptolemy Robert David Malcolm Stephen Edmund Anne
    Victoria Isabella Margaret Friedrich Heinrich Ludwig Karl Umberto Rama Selim Murad
""")
_COUNTED = words_of("""
    Chapter Part Act Volume War Book Section Phase Type Bowl Class Level Title Article
    Appendix Figure Table Grade Stage Version Season Episode Scene Unit Rocky Apollo Mark
""")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50}

PHONE = (
    r"(?<![\w.-])(?:\+\d{1,3}[ -.]?)?\(?\d{3}\)?[ -.]\d{3}[ -.]\d{4}(?![\w-])"
    r"|(?<![\w.-])\d{3}-\d{4}(?![\w-])"
    r"|(?<![\w.-])\+\d{1,3}(?:[ -/]\(?\d{2,5}\)?){2,5}(?![\w-])"
)
DOTTED_DATE = r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})\b"
CLOCK_SECONDS = r"\b(\d{1,2}:\d\d):0?(\d{1,2})\b"
HALF_DAY = r"(?<=\d) ?([ap])\.?m\.?(?=[\s,;:!?)]|$)(?P<end>)|(?<=\d) ?([AP])M\b"
DOTTED = r"(?<![\w.])\d+(?:\.\d+){2,}(?![\w])"
RANGE = r"(?<![\w-])(\d+(?:[.,:]\d+)?%?)-(\d+(?:[.,:]\d+)?%?)(?![\w-])"
FRACTION = r"(?<![\w/.])(?:(\d+) )?(\d{1,2})/(\d{1,3})(?![\w/])"
DECADE = r"(?<![\w,.])'?(\d\d)?([0-9])0s\b"
_NAMES = "|".join(_MONTHS)
ABBREVIATED_MONTH = (
    r"\b(Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.? (?=\d)"
    r"|(?<=\d )(Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?"
)
MONTH_DAY = rf"\b({_NAMES}) (\d{{1,2}})(?![\d:%/]|\.\d|,\d)"
DAY_MONTH = rf"(\b[Tt]he )?(?<![\d.,:])\b(\d{{1,2}})(?:st|nd|rd|th)?\.? ({_NAMES})\b"
ROMAN = (
    rf"\b(?P<ruler>{'|'.join(sorted(_RULERS))}) "
    r"(?P<throne>[XVI]{2,6}|[VX](?![\w'.]\w)|I(?=[.,;:!?)]|$| of\b))(?!\w)"
    rf"|\b(?P<small>{'|'.join(sorted(_COUNTED)).lower()}) (?P<placed>[XLVI]{{2,7}})(?![\w'])"
    rf"|\b(?P<counted>{'|'.join(sorted(_COUNTED))}) (?P<place>[XLVI]{{1,7}})(?![\w'])"
    r"|\b(?P<name>[A-Z][a-z]+) (?P<number>[XVI]{2,6})(?![\w'])"
)


def phone(match: re.Match[str]) -> str:
    """Digit by digit, with a pause between the groups."""
    groups = re.findall(r"\d+", match[0])
    said = ", ".join(" ".join(_DIGITS[int(digit)] for digit in group) for group in groups)
    return f"plus {said}" if match[0].startswith("+") else said


def dotted_date(match: re.Match[str]) -> str:
    """A date as Europe writes it, day first."""
    day, month = int(match[1]), int(match[2])
    if not (1 <= day <= 31 and 1 <= month <= 12):
        return match[0]
    return f"{_MONTHS[month - 1]} {day}, {match[3]}"


def full_month(match: re.Match[str]) -> str:
    short = (match[1] or match[2])[:3]
    month = next(name for name in _MONTHS if name.startswith(short))
    return f"{month} " if match[1] else month


def month_day(match: re.Match[str]) -> str:
    day = int(match[2])
    return f"{match[1]} {_ordinal(day)}" if 1 <= day <= 31 else match[0]


def day_month(match: re.Match[str]) -> str:
    day = int(match[2])
    if not 1 <= day <= 31:
        return match[0]
    return f"{match[1] or 'the '}{_ordinal(day)} of {match[3]}"


def half_day(match: re.Match[str]) -> str:
    """Put "5pm", "5 p.m." and "5 PM" alike; the abbreviation's full stop may end a sentence."""
    letter = (match[1] or match[3]).upper()
    at_end = match[0].endswith(".") and not match.string[match.end() :].strip()
    return f" {letter} M{'.' if at_end else ''}"


def fraction(match: re.Match[str]) -> str:
    """Read "1/2" as a half; and "24/7", which nobody calls by parts, as two numbers."""
    whole, above, below = match[1], int(match[2]), int(match[3])
    if below not in _PARTS or above >= below or above == 0:
        return f"{f'{whole} ' if whole else ''}{above} {below}"
    name = _PARTS[below]
    many = "halves" if below == 2 else f"{name}s"
    said = f"{above} {many}" if above > 1 else f"one {name}"
    return (
        f"{whole} and {'a' if above == 1 else above} {name if above == 1 else many}"
        if whole
        else said
    )


def decade(match: re.Match[str]) -> str:
    century, tens = match[1], int(match[2])
    if tens == 0 and century is None:
        return match[0]
    if tens == 0:
        return "two thousands" if century == "20" else f"{century} hundreds"
    return f"{century} {_DECADES[tens]}" if century else _DECADES[tens]


def roman(match: re.Match[str]) -> str:
    """Read "Henry VIII" as the eighth, "World War II" as two; what is no numeral stays."""
    written = match["throne"] or match["placed"] or match["place"] or match["number"]
    value = _roman_value(written)
    if value is None:
        return match[0]
    if match["ruler"]:
        return f"{match['ruler']} the {_ordinal(value)}"
    return f"{match['small'] or match['counted'] or match['name']} {value}"


def _roman_value(numeral: str) -> int | None:
    if not re.fullmatch(r"(?:XL|L?X{0,3})(?:IX|IV|V?I{0,3})", numeral):
        return None
    values = [_ROMAN_VALUES[letter] for letter in numeral]
    following = [*values[1:], 0]
    return sum(-a if a < b else a for a, b in zip(values, following, strict=True))


def _ordinal(number: int) -> str:
    ending = (
        "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    )
    return f"{number}{ending}"
