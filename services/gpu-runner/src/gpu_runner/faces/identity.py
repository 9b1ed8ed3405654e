"""How much two pictures show the same person, by dlib's face recognition network.

The 128-number embedding is that of Davis King's ResNet (dlib, public domain weights): a distance
below about 0.6 means the same person on photographs. It was trained on photographs; on drawings
the numbers still order likeness but the threshold does not hold. Alignment uses the five-point
predictor, for the 68-point one may not be used commercially.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import dlib
import face_recognition_models
import numpy as np

from gpu_runner.faces.mesh import Mesh, find_meshes

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME_PERSON = 0.6


def embed(rgb: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Embedding (128,) of the largest face in `rgb` (height, width, 3), or None without a face.

    dlib's own detector is asked first, since the network was trained on its boxes; where it sees
    nothing, as on many drawings, the face mesh says where the face is.
    """
    pixels = np.ascontiguousarray(rgb)
    boxes = list(_detector()(pixels, 1 if min(rgb.shape[:2]) < 400 else 0))
    if boxes:
        return _describe(pixels, max(boxes, key=lambda candidate: int(candidate.area())))
    meshes = find_meshes(rgb)
    return embed_face(rgb, meshes[0]) if meshes else None


def embed_face(rgb: NDArray[np.uint8], mesh: Mesh) -> NDArray[np.float64]:
    """Embedding (128,) of the face in `rgb` (height, width, 3) that `mesh` lies on.

    Measured on 55 photographs of five men it tells them apart as well as with dlib's boxes, and
    takes half the time.
    """
    left, top, right, bottom = mesh.box
    # dlib's boxes reach from the brows to the chin, and are as high as wide.
    side = (right - left + bottom - top) / 2
    cx = (left + right) / 2
    box = dlib.rectangle(int(cx - side / 2), int(bottom - side), int(cx + side / 2), int(bottom))
    return _describe(np.ascontiguousarray(rgb), box)


def _describe(pixels: NDArray[np.uint8], box: dlib.rectangle) -> NDArray[np.float64]:
    shape = _predictor()(pixels, box)
    return np.array(_network().compute_face_descriptor(pixels, shape), dtype=np.float64)


def distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Euclidean distance of two embeddings; 0 is the same picture, above 0.6 someone else."""
    return float(np.linalg.norm(a - b))


@cache
def _detector() -> dlib.fhog_object_detector:
    return dlib.get_frontal_face_detector()


@cache
def _predictor() -> dlib.shape_predictor:
    return dlib.shape_predictor(face_recognition_models.pose_predictor_five_point_model_location())


@cache
def _network() -> dlib.face_recognition_model_v1:
    return dlib.face_recognition_model_v1(face_recognition_models.face_recognition_model_location())
