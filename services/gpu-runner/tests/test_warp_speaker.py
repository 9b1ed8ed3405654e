"""Who speaks in a picture, and which faces cannot."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from gpu_runner.engines.warp.inputs import read_sitter
from gpu_runner.engines.warp.speaker import require_front, require_mouth, speaker_of
from gpu_runner.faces.crops import people_in
from gpu_runner.faces.mesh import Mesh, refine_mesh
from gpu_runner.media.pictures import decode_picture, write_picture
from gpu_runner.stage import StageError
from numpy.typing import NDArray
from skimage import data

Picture = NDArray[np.uint8]
DRAWING = Path(__file__).parents[3] / "samples" / "photos" / "1-studio.png"


@pytest.fixture(scope="module")
def woman() -> tuple[Picture, Mesh]:
    rgb = np.asarray(data.astronaut())
    (mesh,) = people_in(rgb, "the photo")
    return rgb, mesh


def covered_by_a_hand(rgb: Picture, mesh: Mesh) -> Picture:
    """Fingers of the skin's own colour, with shadow between them, laid over the mouth."""
    hand, unit = rgb.copy(), mesh.eye_distance
    x, y = mesh.points[[13, 14], :2].mean(axis=0)
    cheek = mesh.points[50, :2].round().astype(int)
    skin = rgb[cheek[1], cheek[0]].astype(float)
    for finger in range(4):
        tip = int(x + 0.35 * unit), int(y + (0.17 * finger - 0.25) * unit)
        root = int(x - 0.9 * unit), int(tip[1] + 0.25 * unit)
        for width, light in ((0.17, 0.45), (0.14, 1.0)):
            cv2.line(hand, root, tip, (light * skin).tolist(), int(width * unit))
    return np.asarray(cv2.GaussianBlur(hand, (0, 0), 1.0), dtype=np.uint8)


def covered_by_a_mask(rgb: Picture, mesh: Mesh) -> Picture:
    outline = mesh.points[[234, 117, 6, 346, 454, 361, 397, 378, 152, 149, 172, 132], :2]
    return np.asarray(
        cv2.fillPoly(rgb.copy(), [outline.round().astype(np.int32)], (170, 200, 215)), np.uint8
    )


def test_a_whole_mouth_is_seen_in_bad_light_and_without_colours(
    woman: tuple[Picture, Mesh],
) -> None:
    rgb, mesh = woman
    grey = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    for picture in (rgb, rgb // 3, np.asarray(grey, dtype=np.uint8)):
        require_mouth(picture, mesh)


@pytest.mark.parametrize("cover", [covered_by_a_hand, covered_by_a_mask])
def test_a_covered_mouth_is_told_before_anything_is_rendered(
    cover: object, woman: tuple[Picture, Mesh]
) -> None:
    assert callable(cover)
    picture = cover(*woman)
    with pytest.raises(StageError) as refusal:
        require_mouth(picture, refine_mesh(picture, woman[1], looks=4))
    assert refusal.value.code == "mouth-hidden"
    assert "whole mouth" in refusal.value.remedy


def test_a_drawn_face_whose_mouth_is_covered_is_no_face(tmp_path: Path) -> None:
    rgb = decode_picture(DRAWING)
    (mesh,) = people_in(rgb, "the drawing")
    portrait = write_picture(tmp_path / "covered.png", covered_by_a_hand(rgb, mesh))
    with pytest.raises(StageError) as refusal:
        read_sitter(portrait, "1:1", 512)
    assert refusal.value.code == "no-face"


def turned(mesh: Mesh, degrees: float) -> Mesh:
    """The same head, looking elsewhere."""
    angle = np.radians(degrees)
    x, y, z = (mesh.points - mesh.points.mean(axis=0)).T
    across = np.stack(
        [x * np.cos(angle) - z * np.sin(angle), y, z * np.cos(angle) + x * np.sin(angle)]
    )
    return Mesh(across.T, mesh.presence)


def test_three_quarters_of_a_face_can_speak_and_a_profile_cannot(
    woman: tuple[Picture, Mesh],
) -> None:
    for degrees in (-30, 0, 30):
        require_front(turned(woman[1], degrees))
    for degrees in (-55, 55):
        with pytest.raises(StageError, match="turned away") as refusal:
            require_front(turned(woman[1], degrees))
        assert refusal.value.code == "profile"


def test_of_two_people_the_larger_speaks_and_of_two_alike_the_one_in_the_middle(
    woman: tuple[Picture, Mesh], tmp_path: Path
) -> None:
    rgb, mesh = woman
    shape = rgb.shape[0], rgb.shape[1]
    aside, small = mesh.moved(-mesh.centre[0] + 60, 0), mesh.moved(0, 0, 0.6)
    middle = mesh.moved(256 - mesh.centre[0], 0)
    assert speaker_of([aside, middle], shape) is middle
    assert speaker_of([small, aside], shape) is aside
    half = cv2.resize(rgb, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    both = np.full((512, 512 + half.shape[1], 3), rgb[5, 5], np.uint8)
    both[:, :512] = rgb
    both[-half.shape[0] :, 512:] = half
    sitter = read_sitter(write_picture(tmp_path / "both.png", both), "1:1", 512)
    assert sitter.others == 1
    # The larger one, in the picture's middle.
    assert abs(sitter.mesh.centre[0] - 256) < 60


@pytest.mark.parametrize("longer_side", [96, 4000])
def test_a_tiny_or_huge_picture_gives_the_same_face(
    longer_side: int, woman: tuple[Picture, Mesh], tmp_path: Path
) -> None:
    rgb, mesh = woman
    left, top, right, bottom = (round(side) for side in mesh.box)
    margin = round(0.4 * mesh.width)
    head = rgb[max(0, top - margin) : bottom + margin, left - margin : right + margin]
    scale = longer_side / max(head.shape)
    sized = cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    sitter = read_sitter(write_picture(tmp_path / "sized.png", sized), "1:1", 512)
    require_mouth(*sitter.portrait())
