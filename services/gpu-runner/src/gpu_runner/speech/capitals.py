"""Words in capitals: spelled (GPU), read as a word (NATS), or merely loud (STOP).

The pronouncing dictionary spells whatever is in capitals. Five letters with a vowel are a word more
often than not; the common shorter ones are listed. Pure.
"""

from __future__ import annotations

import re

from gpu_runner.speech.words import words_of

_READ_AS_WORDS = {
    "NATS": "nats", "NASA": "nassa", "NATO": "nayto", "FIFA": "feefa", "RAM": "ram", "ROM": "rom",
    "AIDS": "aids", "OPEC": "oh peck", "JPEG": "jay peg", "JSON": "jason", "YAML": "yammel",
    "LoRA": "lora",
}  # fmt: skip
_SPELLED = words_of("""
    FBI CIA USA UK EU UN TV GPU CPU AI PC DVD CD BBC CNN NBA NFL HTML HTTP HTTPS URL API USB PDF
    CEO CFO CTO DNA GPS ATM FAQ DIY VIP LED LCD SMS SQL XML CSS IBM BMW MIT NYC LA OK ID HR PR
""")
_STRESSED = words_of("""
    NOT YES NO ALL THE AND BUT NOW YOU NEW FREE STOP NEVER HOW WHY WHO WHAT BIG BAD ANY OUT OFF
    ONE TWO WOW MUST DO DID CAN WILL HAS IS ARE WAS MY ME WE HE SHE BE OR SO TOO GO TO UP IN ON OF
    AT FOR THIS THAT NEED LOVE VERY ONLY EVER WHEN WITH FROM HAVE BEST REAL GOOD SALE JUST MORE
    MOST LAST LIKE WANT KNOW HELP EACH BOTH SAME THEY THEM WERE BEEN DOES DONE HERE NEXT OPEN READ
    SAID
""")
_LOUD = 0.7
_STRESSED_SHARE = 0.3
_FEWEST_STRESSED = 2
_SHORTEST_WORD = 5


def calm(text: str) -> str:
    """Words in capitals as they are meant; a sentence of them is shouted, not spelled."""
    words = re.findall(r"\b[A-Za-z]{2,}\b", text)
    loud = [word for word in words if word.isupper()]
    stressed = [word for word in loud if word in _STRESSED or len(word) >= _SHORTEST_WORD]
    shouted = len(loud) >= _LOUD * len(words) and len(stressed) >= _STRESSED_SHARE * len(loud)
    if len(stressed) >= _FEWEST_STRESSED and shouted:
        text = re.sub(
            r"\b[A-Z]{2,}\b",
            lambda m: m[0] if m[0] in _SPELLED or m[0] in _READ_AS_WORDS else m[0].lower(),
            text,
        )
    return re.sub(r"\b(?P<word>[A-Z]{2,}|LoRA)(?P<plural>'?s)?\b", _capitals, text)


def _capitals(match: re.Match[str]) -> str:
    """A word in capitals: an acronym is spelled or read as a word, any other is merely loud."""
    word, plural = match["word"], match["plural"] or ""
    if word in _READ_AS_WORDS:
        return _READ_AS_WORDS[word] + plural.removeprefix("'")
    if word in _STRESSED or (
        len(word) >= _SHORTEST_WORD and word not in _SPELLED and re.search(r"[AEIOU]", word)
    ):
        return (word + plural).lower()
    return " ".join(word) + "'s" if plural else word
