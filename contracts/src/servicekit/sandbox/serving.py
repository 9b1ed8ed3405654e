"""The loop of a confined process: wishes from its standard input until there are no more."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from servicekit.sandbox import wire
from servicekit.sandbox.confinement import Limits, allow_time, confine

LONGEST_INPUT = 256 << 20
Send = Callable[[bytes | memoryview], None]
Handler = Callable[[Mapping[str, Any], bytearray, Send], Mapping[str, Any]]


def serve(handle: Handler, limits: Limits) -> None:
    """Confine this process, then do what is wished.

    `handle` is given a wish, the bytes that it is about, and a way to send pieces of bytes; what it
    returns is the answer's JSON.
    """
    # Whatever libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    confine(limits)
    while True:
        try:
            wish = wire.get_json(sys.stdin.buffer)
            data = wire.get(sys.stdin.buffer, LONGEST_INPUT)
        except wire.BrokenOffError:
            return
        allow_time(limits)

        def send(piece: bytes | memoryview) -> None:
            if len(piece):
                wire.put(answers, piece)

        try:
            answer: Mapping[str, Any] = {"made": handle(wish, data, send)}
        except MemoryError:
            answer = {"failed": "memory"}
        except Exception as error:  # noqa: BLE001 - a decoder may raise anything; its type is told
            answer = {"failed": type(error).__name__}
        del data
        wire.put(answers, b"")
        wire.put_json(answers, answer)
