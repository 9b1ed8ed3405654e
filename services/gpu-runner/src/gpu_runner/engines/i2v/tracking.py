"""The face in each picture of a scene, as far as there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from gpu_runner.faces.detector import overlap
from gpu_runner.faces.mesh import MIN_PRESENCE, Mesh, find_meshes, refine_mesh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LOOKS = 6
# What was seen before is the same face if boxes overlap so far.
SAME = 0.5
# A face that is half as certain as the portrait's may be none.
CERTAIN = 0.5
# The mesh jitters; heads do not move within this time, in seconds.
SMOOTHING = 0.06


def follow(pictures: Sequence[NDArray[np.uint8]], first: Mesh, rate: float) -> list[Mesh]:
    """Meshes of the face in as many of the `pictures` as show it without a break, smoothed.

    Args:
        pictures: the scene, each (height, width, 3).
        first: where the face is in its first picture, nearly.
        rate: pictures a second.

    """
    found: list[Mesh] = []
    last = first
    for rgb in pictures:
        mesh = _same_face(rgb, last, max(MIN_PRESENCE, CERTAIN * first.presence))
        if mesh is None:
            break
        found.append(mesh)
        last = mesh
    if not found:
        return []
    points = np.stack([mesh.points for mesh in found])
    smooth = gaussian_filter1d(points, SMOOTHING * rate, axis=0, mode="nearest")
    return [Mesh(one, mesh.presence) for one, mesh in zip(smooth, found, strict=True)]


def _same_face(rgb: NDArray[np.uint8], last: Mesh, certain: float) -> Mesh | None:
    """The face of `last` in the next picture: near where it was, else wherever it is now."""
    near = refine_mesh(rgb, last, LOOKS)
    if near.presence >= certain and overlap(near.box, last.box) >= SAME:
        return near
    faces = [mesh for mesh in find_meshes(rgb) if overlap(mesh.box, last.box) >= SAME]
    if not faces:
        return None
    anew = refine_mesh(rgb, faces[0], LOOKS)
    return anew if anew.presence >= certain else None
