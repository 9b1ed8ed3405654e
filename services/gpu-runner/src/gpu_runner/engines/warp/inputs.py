"""Reading of what a video is made of: portrait, speech and timings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpu_runner.engines.warp.timings import Timings, read_timings
from gpu_runner.stage import StageError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from gpu_runner.engines.warp.canvas import Region
    from gpu_runner.engines.warp.params import Aspect
    from gpu_runner.faces.mesh import Mesh

# Crops whose meshes are averaged.
LOOKS = 14


@dataclass(frozen=True, slots=True)
class Sitter:
    """Who speaks, in the picture of the video at rest.

    `canvas` is (height, width, 3), `mesh` the face in its pixels, `region` the part (left, top,
    right, bottom) in which anything moves. `others` is how many more people the portrait shows.
    """

    canvas: NDArray[np.uint8]
    mesh: Mesh
    region: Region
    others: int

    def portrait(self) -> tuple[NDArray[np.uint8], Mesh]:
        """The moving region alone, and the mesh in its pixels."""
        left, top, right, bottom = self.region
        return self.canvas[top:bottom, left:right].copy(), self.mesh.moved(-left, -top)

    def goes_on(self) -> tuple[bool, bool, bool, bool]:
        """Whether the still picture goes on at left, top, right and bottom of the region."""
        height, width = self.canvas.shape[:2]
        left, top, right, bottom = self.region
        return left > 0, top > 0, right < width, bottom < height


def read_sitter(path: Path, aspect: Aspect, short_side: int) -> Sitter:
    """Read the portrait and lay it out for the video.

    Raises:
        StageError: `no-face`, `face-too-small`, `profile`, `picture-unreadable` or
            `picture-too-large`.

    """
    from gpu_runner.engines.warp.canvas import compose_canvas, moving_region
    from gpu_runner.engines.warp.speaker import require_front, speaker_of
    from gpu_runner.faces.crops import people_in
    from gpu_runner.faces.mesh import refine_mesh
    from gpu_runner.media.pictures import decode_picture

    rgb = decode_picture(path, "the portrait")
    people = people_in(rgb, "the portrait")
    canvas = compose_canvas(
        rgb, speaker_of(people, (rgb.shape[0], rgb.shape[1])), aspect, short_side
    )
    shape = canvas.shape[0], canvas.shape[1]
    mesh = refine_mesh(canvas, speaker_of(people_in(canvas, "the portrait"), shape), LOOKS)
    require_front(mesh)
    return Sitter(canvas, mesh, moving_region(shape, mesh), len(people) - 1)


def read_speech(path: Path) -> tuple[NDArray[np.float32], int]:
    """The speech, mono (n,), and its sample rate in hertz.

    Raises:
        StageError: `speech-unreadable`.

    """
    import soundfile

    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise StageError(
            "speech-unreadable", "the speech is not a sound file", "Make the speech again."
        ) from error
    if len(samples) < rate // 10:
        raise StageError(
            "speech-unreadable", "the speech is shorter than 0.1 s", "Give it more words to say."
        )
    return samples.mean(axis=1), int(rate)


def read_timings_of(path: Path, seconds: float) -> Timings:
    """The timings of a speech that lasts `seconds`.

    Raises:
        StageError: `timings-unreadable` or `timings-mismatch`.

    """
    timings = read_timings(path)
    if abs(timings.duration - seconds) > 0.5:
        raise StageError(
            "timings-mismatch",
            f"the timings cover {timings.duration:.1f} s, the speech {seconds:.1f} s",
            "Make the speech again; its timings are written beside it.",
        )
    return timings
