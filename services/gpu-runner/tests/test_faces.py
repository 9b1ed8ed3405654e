"""Detection, crops and identity, on a photograph and on pictures made from it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from gpu_runner.faces.crops import CROP_SIDE, crop_portrait, people_in, widest_face
from gpu_runner.faces.detector import detect_faces
from gpu_runner.faces.identity import SAME_PERSON, distance, embed
from gpu_runner.faces.mesh import find_meshes
from gpu_runner.stage import StageError
from numpy.typing import NDArray
from skimage import data

Rgb = NDArray[np.uint8]


@pytest.fixture(scope="module")
def woman() -> Rgb:
    return np.asarray(data.astronaut())


def canvas(height: int, width: int, *placed: tuple[Rgb, int, int]) -> Rgb:
    picture = np.full((height, width, 3), 150, np.uint8)
    for rgb, top, left in placed:
        picture[top : top + rgb.shape[0], left : left + rgb.shape[1]] = rgb
    return picture


def test_the_mesh_lies_on_the_face(woman: Rgb) -> None:
    (mesh,) = find_meshes(woman)
    assert mesh.presence > 0.9
    assert abs(mesh.yaw) < 8
    for number, seen_at in (
        (1, (226, 128)),
        (152, (221, 176)),
        (33, (196, 103)),
        (263, (258, 105)),
    ):
        assert np.linalg.norm(mesh.points[number, :2] - seen_at) < 6


@pytest.mark.parametrize("picture", [data.coffee(), data.chelsea(), data.rocket()])
def test_things_and_animals_have_no_face(picture: Rgb) -> None:
    assert find_meshes(picture) == []


@pytest.mark.parametrize("degrees", [-25, 25])
def test_a_tilted_head_is_found(degrees: int, woman: Rgb) -> None:
    turn = cv2.getRotationMatrix2D((226, 120), degrees, 1.0)
    (mesh,) = find_meshes(np.asarray(cv2.warpAffine(woman, turn, (512, 512))))
    assert mesh.presence > 0.9


def test_a_small_face_in_a_wide_picture_is_found(woman: Rgb) -> None:
    small = np.asarray(cv2.resize(woman, (256, 256), interpolation=cv2.INTER_AREA))
    (mesh,) = find_meshes(canvas(768, 1024, (small, 300, 700)))
    assert abs(mesh.centre[0] - 813) < 5
    assert abs(mesh.centre[1] - 362) < 5


def test_a_face_that_fills_the_picture_is_found(woman: Rgb) -> None:
    (face,) = [face for face in detect_faces(woman[55:185, 160:292]) if face.score > 0.6]
    assert face.width > 80


def test_a_crop_keeps_the_head_in_the_middle(woman: Rgb) -> None:
    crop = crop_portrait(woman, widest_face(woman, "photo 1"))
    assert crop.shape == (CROP_SIDE, CROP_SIDE, 3)
    (mesh,) = find_meshes(crop)
    assert abs(mesh.centre[0] - CROP_SIDE / 2) < 15
    assert CROP_SIDE / 2.8 < mesh.width < CROP_SIDE / 2.2


def test_a_face_of_a_few_pixels_is_refused(woman: Rgb) -> None:
    tiny = np.asarray(cv2.resize(woman, (200, 200), interpolation=cv2.INTER_AREA))
    with pytest.raises(StageError, match="pixels wide") as refusal:
        people_in(tiny, "photo 1")
    assert refusal.value.code == "face-too-small"


def test_the_same_person_is_near_and_another_is_far(woman: Rgb) -> None:
    here = embed(woman)
    darker = embed((woman * 0.6).astype(np.uint8)[:, ::-1])
    faces = [np.asarray(face) for face in data.lfw_subset()[:100:20]]
    assert here is not None
    assert darker is not None
    assert distance(here, darker) < SAME_PERSON / 2
    big = [cv2.resize((face * 255).astype(np.uint8), (300, 300)) for face in faces]
    padded = [cv2.copyMakeBorder(face, *(150,) * 4, cv2.BORDER_REPLICATE) for face in big]
    others = [embed(np.repeat(face[:, :, None], 3, axis=2)) for face in padded]
    known = [other for other in others if other is not None]
    assert known
    assert all(distance(here, other) > SAME_PERSON for other in known)


def test_a_picture_without_a_face_has_no_identity() -> None:
    assert embed(data.coffee()) is None
