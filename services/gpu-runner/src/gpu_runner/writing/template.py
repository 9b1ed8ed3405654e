"""A script from a topic without any model: sentences that suit every topic, put together by chance.

Nothing is claimed of the topic, as nothing is known of it. The same seed writes the same. Pure.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

from gpu_runner.writing.draft import Draft, Tone, WriterParams

_OPENINGS: Mapping[Tone, Sequence[str]] = {
    "friendly": (
        "Hello! It is lovely to see you. Today I would like to talk about {topic}.",
        "Hi there! Let me tell you a little about {topic}.",
        "Hello, and thank you for stopping by! I have been looking forward to this: {topic}.",
    ),
    "professional": (
        "Good day, and welcome. I would like to speak to you about {topic}.",
        "Welcome. In the next moments I will introduce you to {topic}.",
        "Thank you for joining me. Our subject today is {topic}.",
    ),
    "playful": (
        "Hey, you! Yes, you. Guess what this is about: {topic}!",
        "Ready? Here comes something I could talk about all day: {topic}!",
        "Stop whatever you are doing, because this is about {topic}!",
    ),
    "calm": (
        "Hello. Take a breath, and let us spend a quiet moment on {topic}.",
        "Welcome. There is no hurry. I would like to share a few thoughts about {topic}.",
        "Hello. Sit back and listen, for this is about {topic}.",
    ),
}
_OWN_WORDS: Mapping[Tone, Sequence[str]] = {
    "friendly": ("Hello! It is lovely to see you.", "Hi there!"),
    "professional": ("Good day, and welcome.", "Thank you for joining me."),
    "playful": ("Hey, you! Listen to this.", "Ready? Here it comes."),
    "calm": ("Hello. Take a breath, and listen.", "Welcome. There is no hurry."),
}
"""Openings where the topic is said in whole sentences already, which follow as they are."""
_BODY: Mapping[Tone, Sequence[str]] = {
    "friendly": (
        "It makes me happy every time I think about it.",
        "I hope that a little of my joy reaches you, too.",
        "If you have never given it much thought, you are in good company.",
        "You need not know anything about it to enjoy this.",
        "It is the kind of thing that is best shared with friends.",
    ),
    "professional": (
        "A clear view of it is worth more than a hasty answer.",
        "Experience has taught me to begin with the basics.",
        "Good results come from asking the right questions first.",
        "It deserves our full attention, and some care.",
        "Every step becomes easier once the aim is understood.",
    ),
    "playful": (
        "I promise that nobody has to take notes.",
        "Some people collect stamps. I collect reasons to talk about this.",
        "If you catch me smiling, now you know why.",
        "Careful, though: it may well be contagious.",
        "My friends say that I never stop. They may be right.",
    ),
    "calm": (
        "It does not ask for much, only for a little of our time.",
        "Sometimes it helps to look at one thing, and at nothing else.",
        "Let the thought come, and let it stay for a while.",
        "There is a quiet kind of beauty in it.",
        "We may leave everything else for later.",
    ),
}
_FOR_ALL: Sequence[str] = (
    "There is more to it than one sees at first.",
    "The closer you look, the more you find.",
    "What I like most is how much there still is to discover.",
    "Everybody comes to it in their own way, and that is just as it should be.",
    "It often begins with something small, and then it grows on you.",
    "Perhaps you have a story of your own about it.",
    "Some of the best moments come when you least expect them.",
    "Of course some days do not go as planned. They make the good ones better.",
    "I have learned a lot along the way, and I am still learning.",
    "The details matter, even those that nobody sees.",
    "It is worth taking the time to do it well.",
    "What seems hard today may be easy tomorrow.",
    "Ask ten people about it, and you will hear ten different answers.",
    "I often wonder what it will be like in a few years.",
    "One thing is certain: it never gets boring.",
)
_CLOSINGS: Mapping[Tone, Sequence[str]] = {
    "friendly": (
        "Thank you so much for listening. See you soon!",
        "That was all from me. Take care, and see you next time!",
    ),
    "professional": (
        "Thank you for your attention.",
        "I thank you for your time, and look forward to your questions.",
    ),
    "playful": (
        "That is all for now. Go and tell everybody!",
        "And with that I am off. Bye for now!",
    ),
    "calm": (
        "Thank you for this quiet moment.",
        "Thank you for listening. I wish you a peaceful day.",
    ),
}
_SCENES: Mapping[Tone, Sequence[str]] = {
    "friendly": ("blue background, bright light", "beige background, bright light"),
    "professional": ("grey background", "navy background", "white background"),
    "playful": ("yellow background, bright light", "orange background", "cyan background"),
    "calm": ("green background", "beige background", "blue background"),
}
"""In words that every base was taught: see `gpu_runner.faces.captions`."""
_BEGINS_SMALL = frozenset(
    {"a", "an", "the", "my", "our", "your", "his", "her", "their", "how", "why", "what", "when",
     "where", "who", "this", "that", "these", "those", "some"}
)  # fmt: skip
_QUOTES = "\"'\u201c\u201d\u2018\u2019\u00ab\u00bb "


def write(topic: str, params: WriterParams, seed: int) -> Draft:
    """A script of about the wanted length about `topic`, one line of text, and a scene for it."""
    chance = random.Random(seed)
    opening = _opening(topic, params.tone, chance)
    closing = chance.choice(_CLOSINGS[params.tone])
    body = [*_BODY[params.tone], *_FOR_ALL]
    chance.shuffle(body)
    left = params.words - _count(opening) - _count(closing)
    said = []
    for sentence in body:
        if _count(sentence) / 2 > left:
            break
        said.append(sentence)
        left -= _count(sentence)
    parts = (opening, " ".join(said), closing)
    return Draft("\n\n".join(filter(None, parts)), chance.choice(_SCENES[params.tone]))


def _opening(topic: str, tone: Tone, chance: random.Random) -> str:
    named = topic.strip(_QUOTES)
    if re.search(r"[.!?\u2026]$", named):
        return f"{chance.choice(_OWN_WORDS[tone])} {named}"
    first, space, rest = named.partition(" ")
    if first.lower() in _BEGINS_SMALL:
        named = first.lower() + space + rest
    return chance.choice(_OPENINGS[tone]).format(topic=named)


def _count(text: str) -> int:
    return len(text.split())
