"""The process that decodes what users send: `python -m gpu_runner.media.decoder`.

A stage starts one when it first needs it, and asks it for one file after the other. It is given
bytes and answers with pixels or samples, and can reach no file and no network (docs/security.md).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from servicekit.sandbox.confinement import Limits
from servicekit.sandbox.helper import ConfinedError, Helper
from servicekit.sandbox.serving import Send, serve

from gpu_runner.stage import StageError

LIMITS = Limits(memory_bytes=768 << 20, cpu_s=30, patience_s=120.0)
"""A picture of 64 million pixels takes 256 MiB, and as much once more to be turned upright."""


_PICTURE = b"BM" + struct.pack("<IHHIIiiHH24xI", 58, 0, 0, 54, 40, 1, 1, 1, 24, 0)
_SOUND = b"RIFF" + struct.pack(
    "<I4s4sIHHIIHH4sI400x", 436, b"WAVE", b"fmt ", 16, 1, 1, 8_000, 16_000, 2, 16, b"data", 400
)
"""The smallest there are: one pixel, and a fortieth of a second of silence."""


@cache
def _helper() -> Helper:
    return Helper(__name__, LIMITS)


def ask(wish: Mapping[str, Any], path: Path, most_bytes: int) -> tuple[dict[str, Any], bytearray]:
    """What the process makes of a file: up to `most_bytes`, and what it says of them.

    Raises:
        StageError: what the file is refused for.
        ConfinedError: it would take too much, or has ended the process.
        OSError: the file cannot be read.

    """
    told, made = _helper().ask(wish, path.read_bytes(), most_bytes)
    if "refused" in told:
        raise StageError(**told["refused"])
    return told, made


def _handle(wish: Mapping[str, Any], data: bytearray, send: Send) -> Mapping[str, Any]:
    from gpu_runner.media.unpacking import unpack_picture
    from gpu_runner.speech.unpacking import unpack_sound

    try:
        if wish["kind"] == "picture":
            picture = unpack_picture(data, wish["label"])
            send(memoryview(picture.rgb).cast("B"))
            return {"shape": picture.rgb.shape, "frames": picture.frames}
        return asdict(unpack_sound(io.BytesIO(data), wish["seconds"], send))
    except StageError as error:
        return {"refused": {"code": error.code, "cause": error.cause, "remedy": error.remedy}}


def _nowhere(_: bytes | memoryview) -> None:
    """Send nothing."""


def main() -> None:
    """Be that process."""
    from PIL import Image

    # Whatever they import or open when they first work cannot be had any more afterwards.
    Image.init()
    _handle({"kind": "picture", "label": ""}, bytearray(_PICTURE), _nowhere)
    _handle({"kind": "sound", "seconds": 1.0}, bytearray(_SOUND), _nowhere)
    serve(_handle, LIMITS)


if __name__ == "__main__":
    main()


__all__ = ["LIMITS", "ConfinedError", "ask", "main"]
