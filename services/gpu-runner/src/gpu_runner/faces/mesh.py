"""The 468-point face mesh, run with OpenCV's `dnn` module.

Points are numbered as in MediaPipe's canonical face model. The network also says whether it
sees a face at all, which is how false detections are weeded out. A single look is jittery by
about a pixel; `fit_mesh` averages several slightly moved looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gpu_runner.faces.detector import MODELS, SAME_FACE, Face, detect_faces, overlap

if TYPE_CHECKING:
    from numpy.typing import NDArray

INPUT_SIDE = 192
# The window is this many times the face's longer side, as the network was trained.
WINDOW = 1.5
# A face is what both networks find likely or the mesh finds certain. On drawings the mesh alone
# falls to 0.3; on patterns the detector alone rises to 0.71, and both together to 0.52 and 0.64.
SURE_SCORE, MIN_PRESENCE, SURE_PRESENCE = 0.73, 0.2, 0.8

# Numbers of some points; "left" is the image's left.
EYE_LEFT, EYE_RIGHT = 33, 263
CHEEK_LEFT, CHEEK_RIGHT = 234, 454
FOREHEAD, CHIN = 10, 152


@dataclass(frozen=True, slots=True)
class Mesh:
    """Where the points of a face are.

    `points` is (468, 3): x and y in pixels of the picture, z in the same unit, smaller is
    nearer. `presence` is the network's certainty that this is a face, 0-1.
    """

    points: NDArray[np.float64]
    presence: float

    @property
    def eye_distance(self) -> float:
        """Distance of the outer eye corners in pixels."""
        return float(np.linalg.norm(self.points[EYE_RIGHT, :2] - self.points[EYE_LEFT, :2]))

    @property
    def width(self) -> float:
        """Width of the face, from side to side of its oval, in pixels."""
        return float(np.ptp(self.points[:, 0]))

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the mesh's bounding box in pixels."""
        low, high = self.points[:, :2].min(axis=0), self.points[:, :2].max(axis=0)
        return float((low[0] + high[0]) / 2), float((low[1] + high[1]) / 2)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Bounding box (left, top, right, bottom) in pixels."""
        low, high = self.points[:, :2].min(axis=0), self.points[:, :2].max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    @property
    def yaw(self) -> float:
        """Turn of the head in degrees, 0 for a frontal face, positive to the image's right."""
        across = self.points[CHEEK_RIGHT] - self.points[CHEEK_LEFT]
        return float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))))

    def moved(self, right: float, down: float, scale: float = 1.0) -> Mesh:
        """The mesh in a picture that was shifted by so many pixels and then scaled."""
        points = (self.points + np.array([right, down, 0.0])) * scale
        return Mesh(points, self.presence)


def find_meshes(rgb: NDArray[np.uint8]) -> list[Mesh]:
    """Meshes of all faces in `rgb` (height, width, 3), the widest first."""
    meshes: list[Mesh] = []
    for face in detect_faces(rgb):
        mesh = fit_mesh(rgb, face)
        needed = MIN_PRESENCE if face.score >= SURE_SCORE else SURE_PRESENCE
        known = any(overlap(mesh.box, other.box) >= SAME_FACE for other in meshes)
        if mesh.presence >= needed and not known:
            meshes.append(mesh)
    return sorted(meshes, key=lambda mesh: mesh.width, reverse=True)


def fit_mesh(rgb: NDArray[np.uint8], face: Face, looks: int = 1) -> Mesh:
    """Fit the mesh to a detected face.

    Args:
        rgb: the picture (height, width, 3).
        face: where to look.
        looks: number of slightly shifted and scaled crops whose results are averaged.

    Returns:
        The mesh; look at its `presence` before using it.

    """
    left, top, right, bottom = face.box
    centre = np.array([(left + right) / 2, (top + bottom) / 2])
    (x0, y0), (x1, y1) = face.eyes
    angle = float(np.arctan2(y1 - y0, x1 - x0))
    first = _look(rgb, centre, WINDOW * max(right - left, bottom - top), angle)
    return refine_mesh(rgb, first, looks) if first.presence >= MIN_PRESENCE else first


def refine_mesh(rgb: NDArray[np.uint8], mesh: Mesh, looks: int = 1) -> Mesh:
    """Fit again around a known mesh, as for the next frame of a video."""
    eyes = mesh.points[EYE_RIGHT, :2] - mesh.points[EYE_LEFT, :2]
    angle = float(np.arctan2(eyes[1], eyes[0]))
    side = WINDOW * max(np.ptp(mesh.points[:, 0]), np.ptp(mesh.points[:, 1]))
    results = []
    for index in range(looks):
        # Golden-angle spiral: spreads any number of looks evenly, the first one unmoved.
        radius = 0.03 * side * np.sqrt(index / max(looks, 1))
        turn = index * 2.399963
        offset = radius * np.array([np.cos(turn), np.sin(turn)])
        scale = 1 + 0.06 * (((index * 0.618034) % 1) - 0.5) * (index > 0)
        results.append(_look(rgb, np.array(mesh.centre) + offset, side * scale, angle))
    points = np.mean([result.points for result in results], axis=0)
    return Mesh(points, float(np.mean([result.presence for result in results])))


def _look(rgb: NDArray[np.uint8], centre: NDArray[np.float64], side: float, angle: float) -> Mesh:
    scale = side / INPUT_SIDE
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    turn = np.array([[cos, -sin], [sin, cos]])
    middle = (INPUT_SIDE - 1) / 2
    to_picture = np.column_stack([turn, centre - turn @ (middle, middle)])
    # Prefilter where the crop shrinks the picture, for warpAffine itself does not.
    source = rgb if scale <= 1.5 else cv2.GaussianBlur(rgb, (0, 0), 0.35 * scale)
    crop = cv2.warpAffine(
        source,
        to_picture,
        (INPUT_SIDE, INPUT_SIDE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    network = _network()
    network.setInput(cv2.dnn.blobFromImage(crop, 1 / 255))
    presence, numbers = network.forward(["conv2d_31", "conv2d_21"])
    raw = numbers.reshape(-1, 3).astype(np.float64)
    points = np.column_stack([raw[:, :2] @ turn.T + to_picture[:, 2], raw[:, 2] * scale])
    return Mesh(points, float(1 / (1 + np.exp(-presence.reshape(-1)[0]))))


@cache
def _network() -> cv2.dnn.Net:
    return cv2.dnn.readNetFromTFLite(str(MODELS / "face_landmark.tflite"))
