"""Who in a portrait speaks, and whether that face can.

A mouth that is turned away or covered is found before anything is rendered: the face mesh draws one
in any case, and a video of a hand that opens is worse than a word of what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from gpu_runner.engines.warp.geometry import (
    LOWER_LIP,
    UPPER_LIP,
    closed_mouth,
    face_frame,
    smoothest_path,
)
from gpu_runner.stage import StageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gpu_runner.faces.mesh import Mesh

# Three-quarter portraits are turned by up to 32 degrees as the mesh sees it, profiles by over 40.
FARTHEST_TURN = 37.0
# How far lips stand out from skin, as shares of the skin's lightness. On 56 portraits (photographs
# and paintings, bearded too) the line between lips is darker by 0.046 and more, and their colour
# differs by 0.147 and more; skin laid over the mouth gives up to 0.03, a mask 0, fingers a colour
# that differs by less than 0.1.
LEAST_LINE, LEAST_COLOUR = 0.035, 0.10
SKIN = (50, 280, 205, 425, 199, 200, 18, 421, 201, 164)
SOFTNESS, LINE_WITHIN = 0.006, 0.06


def speaker_of(meshes: Sequence[Mesh], shape: tuple[int, int]) -> Mesh:
    """The largest face in a picture (height, width), and of nearly equal ones the most central."""
    height, width = shape
    middle = np.array([width / 2, height / 2])

    def prominence(mesh: Mesh) -> float:
        away = float(np.linalg.norm(np.array(mesh.centre) - middle)) / max(height, width)
        return mesh.width * (1 - away)

    return max(meshes, key=prominence)


def require_front(mesh: Mesh) -> None:
    """Refuse a face that is turned away.

    Raises:
        StageError: `profile`.

    """
    if abs(mesh.yaw) > FARTHEST_TURN:
        raise StageError(
            "profile",
            f"the face in the portrait is turned away by {abs(mesh.yaw):.0f} degrees, so half of "
            "its mouth cannot be seen",
            "Use a picture taken from the front, or turned by no more than a third of the way.",
        )


def require_mouth(rgb: NDArray[np.uint8], mesh: Mesh) -> None:
    """Refuse a photograph (height, width, 3) on which something is in front of the mouth.

    Raises:
        StageError: `mouth-hidden`.

    """
    line, colour = lips_seen(rgb, mesh)
    if line < LEAST_LINE or colour < LEAST_COLOUR:
        raise StageError(
            "mouth-hidden",
            "no lips can be made out in the portrait: a hand, a mask or deep shadow hides them",
            "Use a picture that shows the whole mouth.",
        )


def lips_seen(rgb: NDArray[np.uint8], mesh: Mesh) -> tuple[float, float]:
    """How much darker the line between the lips is, and how far their colour is from skin's.

    Both are shares of the skin's lightness.
    """
    frame = face_frame(mesh.points)
    face = frame.to_face(mesh.points[:, :2])
    soft = cv2.GaussianBlur(rgb, (0, 0), max(0.6, SOFTNESS * frame.unit))
    lab = cv2.cvtColor(soft, cv2.COLOR_RGB2LAB).astype(np.float32)

    def seen(where: NDArray[np.float64]) -> NDArray[np.float64]:
        at = frame.to_picture(where).astype(np.float32)
        colours = cv2.remap(
            lab, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(colours, dtype=np.float64)

    inner = [index for rows in (UPPER_LIP, LOWER_LIP) for row in rows[1:3] for index in row[2:-2]]
    lips = np.median(seen(face[inner][None])[0], axis=0)
    skin = np.median(seen(face[list(SKIN)][None])[0], axis=0)
    mouth = closed_mouth(frame, mesh.points)
    columns = np.linspace(mouth.left * 0.8, mouth.right * 0.8, 41)
    offsets = np.linspace(-LINE_WITHIN, LINE_WITHIN, 61)
    heights = np.polyval(mouth.contact, columns) + offsets[:, None]
    band = seen(np.stack(np.broadcast_arrays(columns[None], heights), axis=-1))[..., 0]
    away = cv2.GaussianBlur(band, (0, 0), sigmaX=0.1, sigmaY=12, borderType=cv2.BORDER_REPLICATE)
    darker = away - band
    path = smoothest_path(darker / 4 - 2 * (offsets[:, None] / LINE_WITHIN) ** 2)
    line = float(np.median(darker[path, np.arange(len(columns))]))
    light = max(float(skin[0]), 1.0)
    return line / light, float(np.linalg.norm(lips - skin)) / light
