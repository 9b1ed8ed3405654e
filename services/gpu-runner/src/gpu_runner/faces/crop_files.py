"""A face crop as a file: PNG, with the words for it and the face's place inside.

So both go wherever the picture goes, and in whatever order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gpu_runner.faces.scenes import Scene
from gpu_runner.media.pictures import decode_picture
from gpu_runner.stage import StageError

WORDS = "Description"
"""Under which PNG keeps what a picture shows (PNG specification, 11.3.4.2)."""
FACE = "Face"
"""Under which it keeps left, top and side of the face's square in pixels."""
SEPARATOR = ", "


def write_crop(path: Path, scene: Scene, phrases: Sequence[str]) -> Path:
    """Write a scene as PNG with its phrases and its face's place inside, and return `path`."""
    notes = PngInfo()
    notes.add_text(WORDS, SEPARATOR.join(phrases))
    notes.add_text(FACE, f"{scene.left} {scene.top} {scene.side}")
    Image.fromarray(scene.rgb).save(path, format="PNG", pnginfo=notes)
    return path


def read_scene(path: Path) -> Scene:
    """The picture at `path`, whatever its format; without a place, its middle square is the face.

    A pipeline may bind photos here that nobody has looked at before.

    Raises:
        OSError: not a picture.

    """
    try:
        scene = Scene.of_square(decode_picture(path))
    except StageError as error:
        raise OSError(error.cause) from error
    place = _place(_noted(path, FACE), scene.rgb.shape[1::-1])
    return Scene(scene.rgb, *place) if place else scene


def words_of(path: Path) -> str:
    """What a crop's file says that it shows; nothing if it says nothing, or is no PNG."""
    return _noted(path, WORDS)


def _noted(path: Path, name: str) -> str:
    try:
        # Of a PNG no pixel is decoded by this.
        with Image.open(path, formats=("PNG",)) as image:
            text = image.info.get(name, "")
    except (OSError, SyntaxError, ValueError):
        return ""
    return text if isinstance(text, str) else ""


def _place(told: str, size: tuple[int, ...]) -> tuple[int, int, int] | None:
    """A place that is told, if it lies in a picture of `size` (width, height)."""
    try:
        left, top, side = (int(number) for number in told.split())
    except ValueError:
        return None
    inside = min(left, top) >= 0 and left + side <= size[0] and top + side <= size[1]
    return (left, top, side) if side > 0 and inside else None
