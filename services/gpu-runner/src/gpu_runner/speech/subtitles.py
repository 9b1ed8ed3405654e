"""Subtitles of a speech, in the writer's own spelling: cues that a viewer can read in time.

At most two lines of 42 characters, and no cue longer than six seconds or across a sentence: the
limits that broadcasters agree on, such as the Timed Text Style Guide of Netflix and the BBC's.
Pure: words and times in, text out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpu_runner.speech.timeline import Span

LONGEST_LINE = 42
MOST_LINES = 2
LONGEST_SECONDS = 6.0

_LINGER_SECONDS = 0.3
# A clause may end a cue that is filled to this share, rather than the next word overfill it.
_FULL_ENOUGH = 0.6


def cues(words: Sequence[Span]) -> list[Span]:
    """Group the words of one sentence into cues, whose text has its line breaks.

    A word that is longer than a line is cut. A word that sounds longer than a cue may last is
    shown for as long as one may.
    """
    groups: list[list[Span]] = []
    for word in _fitting(words):
        if groups and not _full(groups[-1], word):
            groups[-1].append(word)
        else:
            groups.append([word])
    return [
        Span(
            "\n".join(_lines([word.text for word in group])),
            group[0].start,
            min(group[-1].end, group[0].start + LONGEST_SECONDS),
        )
        for group in groups
    ]


def webvtt(spans: Sequence[Span]) -> str:
    """Cues in order as a WebVTT file (https://www.w3.org/TR/webvtt1/).

    A cue stays a moment after its last word, if no other begins, and always ends after it began.
    """
    blocks = [
        f"{number}\n{_stamp(begin)} --> {_stamp(past)}\n{_escaped(text)}"
        for number, (begin, past, text) in enumerate(_shown(spans), start=1)
    ]
    return "\n\n".join(["WEBVTT", *blocks]) + "\n"


def srt(spans: Sequence[Span]) -> str:
    """The same cues as a SubRip file, which editors and television sets read.

    SubRip knows no escapes: what looks like a tag is kept apart from its bracket by a word joiner.
    """
    blocks = [
        f"{number}\n{_stamp(begin, ',')} --> {_stamp(past, ',')}\n{_untagged(text)}"
        for number, (begin, past, text) in enumerate(_shown(spans), start=1)
    ]
    return "\n\n".join(blocks) + "\n"


def _shown(spans: Sequence[Span]) -> Iterator[tuple[int, int, str]]:
    """When each cue begins and ends, in milliseconds, and its text."""
    for index, cue in enumerate(spans):
        free = spans[index + 1].start if index + 1 < len(spans) else float("inf")
        end = min(cue.end + _LINGER_SECONDS, cue.start + LONGEST_SECONDS, max(cue.end, free))
        begin = _milliseconds(cue.start)
        yield begin, max(_milliseconds(end), begin + 1), cue.text


def _fitting(words: Sequence[Span]) -> Iterator[Span]:
    """The words, those longer than a line in pieces that share its time."""
    for word in words:
        pieces = [
            word.text[at : at + LONGEST_LINE] for at in range(0, len(word.text), LONGEST_LINE)
        ]
        share = (word.end - word.start) / max(1, len(pieces))
        for number, piece in enumerate(pieces):
            yield Span(
                piece.strip(), word.start + number * share, word.start + (number + 1) * share
            )


def _full(group: Sequence[Span], word: Span) -> bool:
    """Whether `word` belongs into the next cue."""
    texts = [one.text for one in group]
    if len(_lines([*texts, word.text])) > MOST_LINES:
        return True
    if word.end - group[0].start > LONGEST_SECONDS:
        return True
    filled = len(" ".join(texts)) / (LONGEST_LINE * MOST_LINES)
    return texts[-1][-1] in ",;:\u2013\u2014" and filled >= _FULL_ENOUGH


def _lines(words: Sequence[str]) -> list[str]:
    """The words in as few lines as they need; two lines are of about the same length."""
    text = " ".join(words)
    if len(text) <= LONGEST_LINE:
        return [text]
    best: tuple[int, list[str]] | None = None
    for cut in range(1, len(words)):
        first, second = " ".join(words[:cut]), " ".join(words[cut:])
        longer = max(len(first), len(second))
        if longer <= LONGEST_LINE and (best is None or longer < best[0]):
            best = (longer, [first, second])
    return best[1] if best else list(words)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _stamp(milliseconds: int, point: str = ".") -> str:
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _untagged(text: str) -> str:
    return text.replace("<", "<\u2060").replace("-->", "--\u2060>")
