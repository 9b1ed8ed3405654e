"""Written and read: what a script's figures, signs and capitals become when they are spoken."""

# ruff: noqa: RUF001 - typographic signs are what is tested.

from __future__ import annotations

import pytest
from gpu_runner.speech.phonemes import pronounce
from gpu_runner.speech.reading import spell_out

READ = {
    "On 3/5/2026 we met": "On March fifth twenty twenty six we met",
    "On 2026-11-22": "On November twenty second twenty twenty six",
    "on 22.11.2026": "on November twenty second twenty twenty six",
    "May 5, 2026": "May fifth twenty twenty six",
    "5 May": "the fifth of May",
    "Jan. 3 and 3 Dec": "January third and the third of December",
    "the '90s, the 1980s, the 2000s": "the nineties the nineteen eighties the two thousands",
    "At 14:30": "At two thirty",
    "at 5 p.m. or 5pm": "at five P M or five P M",
    "10:00-11:30": "ten to eleven thirty",
    "17:10:05": "five ten and five seconds",
    "The 1st, 22nd": "The first twenty second",
    "1/2 cup, 3/4, 2 1/2, ½": "one half cup three quarters two and a half one half",
    "1¾ miles": "one and three quarters miles",
    "24/7": "twenty four seven",
    "50% or 3.5%": "fifty percent or three point five percent",
    "Call 555-123-4567": "Call five five five one two three four five six seven",
    "pages 5–7": "pages five to seven",
    "Henry VIII met Louis XIV": "Henry the eighth met Louis the fourteenth",
    "World War II, chapter IV": "World War two chapter four",
    "Elizabeth I.": "Elizabeth the first",
    "Then Charles I think left": "Then Charles I think left",
    "$3.50 and £7": "three dollars fifty cents and seven pounds sterling",
    "$5 million, €2.5bn": "five million dollars two point five billion euros",
    "¥500 or 12 €": "five hundred yen or twelve euro",
    "-5 °C, 1 °F, −3°": "minus five degrees Celsius one degree Fahrenheit minus three degrees",
    "THIS IS MY BIG DAY": "this is my big day",
    "I REALLY mean it, STOP": "I really mean it stop",
    "NATS, S3 and GPUs": "nats S three and G P U's",
    "the FBI, HTTPS": "the F B I H T T P S",
    "A well-known mother-in-law": "A well known mother in law",
    'He said "stop" twice': "He said stop twice",
    "www.example.com/a-b?x=1": "example dot com slash a b",
    "See https://example.org/.": "See example dot org",
    "Version 2.0.1": "Version two point zero point one",
    "1 km/h, 60 mph, 2 L, 1 ft": "one kilometer per hour sixty miles per hour two liters one foot",
    "St. Louis, Main St.": "Saint Louis Main Street",
    "C#, x², ~5, <3": "C sharp x squared about five less than three",
    "H2O, B2B, MP3": "H two O B two B M P three",
}


@pytest.mark.parametrize(("written", "words"), READ.items())
def test_what_is_written_is_said_as_people_say_it(written: str, words: str) -> None:
    said = pronounce(spell_out(written))
    assert " ".join(word.text for word in said.words) == words


@pytest.mark.parametrize(
    "digits", ["9" * 400, "1," * 10_000, "1/" * 300, "1." * 300, "1-" * 300, "II " * 200]
)
def test_figures_without_sense_are_read_somehow(digits: str) -> None:
    assert spell_out(digits)
