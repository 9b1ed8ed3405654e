"""The picture of a video at rest: its shape, the head's place in it, and what is filled in."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from gpu_runner.engines.warp.backdrop import Backdrop, person_mask
from gpu_runner.engines.warp.canvas import (
    compose_canvas,
    dimensions,
    moving_region,
    placement,
)
from gpu_runner.engines.warp.params import Aspect, Params
from gpu_runner.faces.crops import crop_portrait, widest_face
from gpu_runner.faces.mesh import Mesh
from numpy.typing import NDArray
from pydantic import ValidationError
from skimage import data

ASPECTS: tuple[Aspect, ...] = ("1:1", "9:16", "16:9")


@pytest.fixture(scope="module")
def photo() -> tuple[NDArray[np.uint8], Mesh]:
    rgb = np.asarray(data.astronaut())
    return rgb, widest_face(rgb, "the photo")


@pytest.fixture(scope="module")
def crop(photo: tuple[NDArray[np.uint8], Mesh]) -> tuple[NDArray[np.uint8], Mesh]:
    rgb = crop_portrait(*photo)
    return rgb, widest_face(rgb, "the crop")


@pytest.mark.parametrize(
    ("aspect", "size", "expected"),
    [
        ("1:1", 512, (512, 512)),
        ("16:9", 720, (1280, 720)),
        ("9:16", 1080, (1080, 1920)),
        ("16:9", 256, (456, 256)),
    ],
)
def test_the_shorter_side_gives_the_size(
    aspect: Aspect, size: int, expected: tuple[int, int]
) -> None:
    assert dimensions(aspect, size) == expected


@pytest.mark.parametrize("wrong", [{"aspect": "4:3"}, {"size": 1084}, {"background_blur": 1.5}])
def test_impossible_wishes_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Params.model_validate(wrong)


@pytest.mark.parametrize("aspect", ASPECTS)
def test_the_head_is_whole_and_its_eyes_near_the_upper_third(
    aspect: Aspect, crop: tuple[NDArray[np.uint8], Mesh]
) -> None:
    canvas = compose_canvas(*crop, aspect, 360)
    width, height = dimensions(aspect, 360)
    assert canvas.shape == (height, width, 3)
    mesh = widest_face(canvas, "the canvas")
    assert 0.2 < mesh.points[[33, 263], 1].mean() / height < 0.45
    assert abs(mesh.centre[0] / width - 0.5) < 0.06
    # The face itself is neither stretched nor squeezed.
    before, after = crop[1].box, mesh.box
    shape = (after[2] - after[0]) / (after[3] - after[1])
    assert shape == pytest.approx((before[2] - before[0]) / (before[3] - before[1]), rel=0.05)


def test_real_surroundings_are_used_as_far_as_there_are_any(
    photo: tuple[NDArray[np.uint8], Mesh],
) -> None:
    rgb, mesh = photo
    area = placement((rgb.shape[0], rgb.shape[1]), mesh, 16 / 9)
    assert area.left >= 0
    assert area.top >= 0
    assert area.right <= rgb.shape[1]
    canvas = compose_canvas(rgb, mesh, "16:9", 256)
    shown = rgb[round(area.top) : round(area.bottom), round(area.left) : round(area.right)]
    scaled = cv2.resize(shown, (canvas.shape[1], canvas.shape[0]), interpolation=cv2.INTER_CUBIC)
    assert np.abs(scaled.astype(int) - canvas).mean() < 6


def test_what_lacks_is_filled_without_an_edge_or_a_second_person(
    crop: tuple[NDArray[np.uint8], Mesh],
) -> None:
    canvas = compose_canvas(*crop, "16:9", 360)
    grey = cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY).astype(float)
    steps = np.abs(np.diff(grey, axis=1)).mean(axis=0)
    # Where the filling begins no column stands out, as the border of a picture would.
    assert steps[:150].max() < 6
    outermost = np.concatenate([grey[:, :12], grey[:, -12:]], axis=1)
    assert np.abs(np.diff(outermost, axis=0)).max() < 20
    # The colours at the sides are those of the wall and the suit, not those of hair and skin.
    assert np.abs(canvas[20, 5].astype(int) - crop[0][30, 5]).max() < 40


@pytest.mark.parametrize("aspect", ASPECTS)
def test_only_the_region_of_the_head_moves(
    aspect: Aspect, crop: tuple[NDArray[np.uint8], Mesh]
) -> None:
    canvas = compose_canvas(*crop, aspect, 720)
    mesh = widest_face(canvas, "the canvas")
    left, top, right, bottom = moving_region((canvas.shape[0], canvas.shape[1]), mesh)
    assert 0 <= left < mesh.box[0]
    assert mesh.box[2] < right <= canvas.shape[1]
    assert 0 <= top < mesh.box[1]
    assert mesh.box[3] < bottom <= canvas.shape[0]
    # However wide the picture, what is rendered for each frame is a square at most.
    assert max(right - left, bottom - top) <= 721


def test_a_portrait_that_fills_its_picture_moves_to_the_edges(
    crop: tuple[NDArray[np.uint8], Mesh],
) -> None:
    canvas = compose_canvas(*crop, "1:1", 512)
    assert moving_region((512, 512), widest_face(canvas, "the canvas")) == (0, 0, 512, 512)


def test_hair_is_shown_whole_where_the_picture_has_it(
    photo: tuple[NDArray[np.uint8], Mesh],
) -> None:
    rgb, mesh = photo
    # As if the picture ended at the chest: an upright video then lacks space below.
    low = round(mesh.box[3] + 0.6 * mesh.width)
    area = placement((low, rgb.shape[1]), mesh, 9 / 16)
    assert area.bottom > low
    assert -0.01 <= area.top <= mesh.box[1] - 0.45 * mesh.width


def test_hair_face_and_chest_belong_to_the_person_and_the_wall_does_not(
    crop: tuple[NDArray[np.uint8], Mesh],
) -> None:
    rgb, mesh = crop
    mask = person_mask(rgb, mesh)
    nose = mesh.points[4, :2].astype(int)
    hair = (int(mesh.centre[0]), int(mesh.box[1] - 0.25 * mesh.width))
    for x, y in (nose, hair, (256, 480)):
        assert mask[y, x] > 0.9
    assert mask[:200, :30].max() < 0.1
    assert mask[:200, -30:].max() < 0.1


def test_a_blurred_background_leaves_the_person_sharp(
    photo: tuple[NDArray[np.uint8], Mesh],
) -> None:
    rgb, mesh = photo
    canvas = compose_canvas(rgb, mesh, "16:9", 360)
    near = widest_face(canvas, "the canvas")
    region = moving_region((canvas.shape[0], canvas.shape[1]), near)
    left, top, right, bottom = region
    frame = Backdrop(canvas, region, near, 0.8).behind(canvas[top:bottom, left:right].copy())
    assert frame.shape == canvas.shape
    x0, y0, x1, y1 = (int(side) for side in near.box)
    assert np.abs(frame[y0:y1, x0:x1].astype(int) - canvas[y0:y1, x0:x1]).mean() < 1
    detail = [cv2.Laplacian(one[:200, :100], cv2.CV_64F).std() for one in (frame, canvas)]
    assert detail[0] < 0.4 * detail[1]
    plain = Backdrop(canvas, region, near).behind(canvas[top:bottom, left:right].copy())
    assert np.array_equal(plain, canvas)
