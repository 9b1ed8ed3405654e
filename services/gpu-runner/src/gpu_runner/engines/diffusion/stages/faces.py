"""The photos of the person, as the stage before has cut them."""

from __future__ import annotations

from gpu_runner.faces.crop_files import read_scene
from gpu_runner.faces.scenes import Scene
from gpu_runner.stage import StageContext, StageError


def read_faces(context: StageContext) -> list[Scene]:
    """The face crops of input `faces`, best first.

    Raises:
        StageError: `no-faces`, `face-unreadable`.

    """
    paths = context.inputs.get("faces", ())
    if not paths:
        raise StageError(
            "no-faces", "no face crop was given", "Give at least one photo of the person"
        )
    photos: list[Scene] = []
    for number, path in enumerate(paths, start=1):
        try:
            photos.append(read_scene(path))
        except OSError as error:
            raise StageError(
                "face-unreadable",
                f"face crop {number} is not a readable picture",
                "Prepare the photos again",
            ) from error
    return photos
