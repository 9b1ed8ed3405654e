"""Text that a stranger typed or a program answered, made plain. Pure."""

from __future__ import annotations

import unicodedata

from gpu_runner.stage import StageError


def decoded(data: bytes, what: str) -> str:
    """UTF-8 as text; `what` is how errors call it, such as "script".

    Raises:
        StageError: its code is `what` with `-not-text`.

    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StageError(
            f"{what}-not-text", f"the {what} is not text in UTF-8", "Send it as plain text"
        ) from error


def without_controls(text: str) -> str:
    """`text` without format and control characters, which are neither shown nor spoken.

    Line breaks and tabs are kept; what turns the direction of writing is not.
    """
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c)[0] != "C")
