"""Takes out of a script what was typed for the eye: Markdown, HTML and emoji.

A listener should hear "bold", not "asterisk asterisk bold", and subtitles show what is heard. Every
pattern is bounded, since the text is a stranger's. Pure: text in, text and counts out.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

_BLOCK = "p|div|br|hr|li|ul|ol|h[1-6]|tr|table|blockquote|section|article|header|footer|pre"
_VALUE = r"""(?:"[^"]{0,2000}"|'[^']{0,2000}'|[^\s"'<>]{1,500})"""
_ATTRIBUTES = rf"(?:\s{{1,9}}[\w:@.-]{{1,60}}(?:\s?=\s?{_VALUE})?){{0,20}}"
_HTML: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"<!--.{0,2000}?-->", re.DOTALL), ""),
    (re.compile(r"<(script|style)\b[^>]{0,500}>.{0,2000}?</\1>", re.DOTALL | re.IGNORECASE), ""),
    (re.compile(rf"</?(?:{_BLOCK}){_ATTRIBUTES}\s?/?>", re.IGNORECASE), "\n"),
    (re.compile(rf"</?[A-Za-z][A-Za-z0-9:-]{{0,30}}{_ATTRIBUTES}\s?/?>"), ""),
    (re.compile(r"<((?:https?://|mailto:)[^\s<>]{1,500})>"), r"\1"),
)
_TARGET = r"[^()\s]{0,500}(?:\([^()\s]{0,100}\)[^()\s]{0,100})?(?:[ ]\"[^\"\n]{0,200}\")?"
_MARKDOWN: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        (r"^[ ]{0,3}(?:```|~~~)[\w +-]{0,30}$", ""),
        (r"^[ ]{0,3}(?:(?:-[ ]?){3,80}|(?:\*[ ]?){3,80}|(?:_[ ]?){3,80}|={3,80})$", ""),
        (r"^[ ]{0,3}\[[^\]\n]{1,100}\]:[ ]\S{1,500}.{0,200}$", ""),
        (r"^\|?[ ]?:?-{3,80}:?[ ]?(?:\|[ ]?:?-{3,80}:?[ ]?){0,40}\|?$", ""),
        (r"^\|[ ]?(.{1,2000}?)[ ]?\|$", r"\1"),
        (r"^[ ]{0,3}(?:>[ ]?){1,6}", ""),
        (r"^[ ]{0,3}#{1,6}[ ]+(.{1,500}?)[ ]*#{0,6}$", r"\1"),
        (r"^[ ]{0,12}[-*+•‣◦][ ]+(?:\[[ xX]\][ ]+)?", ""),
        (r"!\[([^\]\n]{0,300})\]\([^()\s]{0,500}(?:[ ]\"[^\"\n]{0,200}\")?\)", r"\1"),
        (rf"\[([^\]\n]{{1,300}})\]\({_TARGET}\)", r"\1"),
        (r"\[\^[\w-]{1,40}\]:?", ""),
        (r"\[([^\]\n]{1,300})\]\[[^\]\n]{0,100}\]", r"\1"),
        (r"(`{1,3})(?=\S)([^`\n]{1,500})\1", r"\2"),
        (r"\*\*\*(?=\S)([^\n]{1,500}?)(?<=\S)\*\*\*", r"\1"),
        (r"\*\*(?=\S)([^\n]{1,500}?)(?<=\S)\*\*", r"\1"),
        (r"(?<!\w)__(?=\S)([^\n]{1,500}?)(?<=\S)__(?!\w)", r"\1"),
        (r"~~(?=\S)([^\n]{1,500}?)(?<=\S)~~", r"\1"),
        (r"(?<![\w*\\])\*(?=[^\s*])([^*\n]{1,500})(?<=[^\s\\])\*(?!\w)", r"\1"),
        (r"(?<![\w_\\])_(?=[^\s_])([^_\n]{1,500})(?<=\S)_(?!\w)", r"\1"),
        (r"\\([\\`*_{}\[\]()#+.!|>~-])", r"\1"),
    )
)  # fmt: skip
_EMOJI: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(
        "[\U0001f000-\U0001fbff\u2600-\u27bf\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u231a\u231b"
        "\u23e9-\u23fa\u3030\u303d]"
        "[\ufe0e\ufe0f\u200d\u20e3\U0001f000-\U0001fbff\u2640\u2642\U000e0020-\U000e007f]*"
    ), " "),
    (re.compile("[\ufe0e\ufe0f\u20e3]"), ""),
    (re.compile(r"(?<!\S)[:;]-?[()DPp](?![^\s.,!?])"), ""),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plain:
    """A text without markup, and how many marks (tags, signs of Markdown) and emoji it had."""

    text: str
    marks: int
    emoji: int


def plain(text: str) -> Plain:
    """The text with lines ended by a line feed and without what is only for the eye."""
    text, tags = _replaced(text, _HTML)
    unescaped = html.unescape(text)
    entities = unescaped != text
    text, signs = _replaced(unescaped, _MARKDOWN)
    text, emoji = _replaced(text, _EMOJI)
    text = re.sub(r" +(?=[.,;:!?](?:\s|$))", "", text) if emoji else text
    return Plain(text, tags + signs + entities, emoji)


def _replaced(text: str, rules: tuple[tuple[re.Pattern[str], str], ...]) -> tuple[str, int]:
    count = 0
    for pattern, replacement in rules:
        text, found = pattern.subn(replacement, text)
        count += found
    return text, count
