"""Photos by the names of their files, where what is said of them has numbers only."""

from __future__ import annotations

import re
from collections.abc import Iterable

from myspinbot.client.replies.jobs import InputLink

_NUMBERED = re.compile(r"\bphotos? (\d+(?:(?:, | and )\d+)*)")


def named(text: str, inputs: Iterable[InputLink]) -> str:
    """`text` with the name of its file behind the number of each photo: "photo 2 (me.jpg)".

    Numbers count from 1 in the order of `inputs`; photos whose names are not known keep theirs.
    """
    names = {str(one.index + 1): one.name for one in inputs if one.input == "photos" and one.name}

    def told(number: re.Match[str]) -> str:
        name = names.get(number[0])
        return f"{number[0]} ({name})" if name else number[0]

    return _NUMBERED.sub(lambda found: re.sub(r"\d+", told, found[0]), text)
