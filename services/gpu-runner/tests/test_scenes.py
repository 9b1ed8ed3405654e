"""What a photo shows around the face, and in which shapes a large base learns it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from gpu_runner.engines.diffusion.buckets import Shape, nearest, shapes_for
from gpu_runner.engines.diffusion.components import encode_pictures
from gpu_runner.engines.diffusion.config import MiniConfig, SdxlConfig
from gpu_runner.engines.diffusion.loading import Loading, load_base
from gpu_runner.engines.diffusion.order import turn_of_step
from gpu_runner.engines.diffusion.pictures import cut_to, fit
from gpu_runner.engines.diffusion.sources import open_source
from gpu_runner.engines.diffusion.stages.lessons import make_examples
from gpu_runner.engines.sdxl.traits import SDXL
from gpu_runner.faces.crop_files import read_scene, write_crop
from gpu_runner.faces.crops import CROP_SIDE, crop_portrait, portrait_square, widest_face
from gpu_runner.faces.mesh import Mesh, find_meshes
from gpu_runner.faces.scenes import Scene, scene_around
from gpu_runner.media.pictures import write_picture
from large_support import write_sdxl
from numpy.typing import NDArray
from skimage import data

Rgb = NDArray[np.uint8]
WHITE = 255


@pytest.fixture(scope="module")
def tall() -> Rgb:
    """An upright photo of a woman, with some wall above her."""
    woman = np.asarray(data.astronaut())[:, 80:400]
    return np.concatenate([np.full((120, 320, 3), 180, np.uint8), woman, woman[::-1][:160]])


@pytest.fixture(scope="module")
def mesh(tall: Rgb) -> Mesh:
    return widest_face(tall, "photo 1")


def square_in(rgb: Rgb, mesh: Mesh) -> Scene:
    height, width = rgb.shape[:2]
    return scene_around(rgb, portrait_square((height, width), mesh), [])


def test_a_scene_shows_more_and_the_face_as_its_crop_does(tall: Rgb, mesh: Mesh) -> None:
    scene = square_in(tall, mesh)
    height, width = scene.rgb.shape[:2]
    assert scene.shows_more
    assert CROP_SIDE <= width <= 2 * CROP_SIDE
    assert 1.2 * CROP_SIDE < height <= 2 * CROP_SIDE
    (found,) = find_meshes(scene.face)
    (expected,) = find_meshes(crop_portrait(tall, mesh))
    assert np.abs(found.points - expected.points)[:, :2].max() < 6


def test_a_photo_of_the_head_alone_is_its_square(tall: Rgb, mesh: Mesh) -> None:
    crop = crop_portrait(tall, mesh)
    scene = square_in(crop, widest_face(crop, "photo 1"))
    assert not scene.shows_more
    assert scene.face.shape == scene.rgb.shape == (CROP_SIDE, CROP_SIDE, 3)


def test_whoever_stands_beside_is_not_in_the_scene() -> None:
    woman = np.asarray(data.astronaut())
    small = np.asarray(cv2.resize(woman, (256, 256), interpolation=cv2.INTER_AREA))
    photo = np.full((512, 1024, 3), 150, np.uint8)
    photo[150:406, 200:456] = small
    photo[150:406, 385:551] = small[:, ::-1][:, 90:]
    one, other = sorted(find_meshes(photo), key=lambda each: each.centre[0])
    square = portrait_square((512, 1024), one)
    alone, both = scene_around(photo, square, [other]), scene_around(photo, square, [])
    assert len(find_meshes(alone.rgb)) == 1
    assert alone.rgb.shape[1] < 0.8 * both.rgb.shape[1]
    assert alone.shows_more
    assert alone.left == both.left


def test_a_file_keeps_the_place_of_the_face(tall: Rgb, mesh: Mesh, tmp_path: Path) -> None:
    scene = square_in(tall, mesh)
    read = read_scene(write_crop(tmp_path / "a.png", scene, ["grey background"]))
    assert (read.left, read.top, read.side) == (scene.left, scene.top, scene.side)
    assert np.array_equal(read.face, scene.face)


@pytest.mark.parametrize(
    ("left", "top", "side"), [(-1, 0, 9), (0, 0, 0), (0, 300, 512), (9, 9, -9)]
)
def test_a_place_that_lies_is_not_believed(
    tall: Rgb, left: int, top: int, side: int, tmp_path: Path
) -> None:
    lying = write_crop(tmp_path / "lie.png", Scene(tall[:500], left, top, side), [])
    assert read_scene(lying).face.shape == (320, 320, 3)


def test_a_picture_from_elsewhere_is_cut_to_its_middle(tall: Rgb, tmp_path: Path) -> None:
    plain = read_scene(write_picture(tmp_path / "plain.png", tall))
    assert (plain.left, plain.side) == (0, 320)
    assert plain.top == (tall.shape[0] - 320) // 2


@pytest.mark.parametrize(("side", "grid"), [(512, 64), (1024, 128), (64, 8)])
def test_shapes_have_the_area_of_the_square_and_lie_on_the_grid(side: int, grid: int) -> None:
    shapes = shapes_for(side, grid)
    assert Shape(side, side) in shapes
    assert len({shape.width for shape in shapes}) == len(shapes) == 5
    for height, width in shapes:
        assert height % grid == width % grid == 0
        assert 0.8 * side**2 < height * width <= side**2
        assert 0.6 <= width / height <= 1 / 0.6


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(512, 512, (512, 512)), (1024, 683, (640, 384)), (512, 1024, (384, 640)), (9, 10, (512, 512))],
)
def test_a_picture_goes_to_the_shape_that_cuts_least(
    height: int, width: int, expected: tuple[int, int]
) -> None:
    assert nearest(Shape(height, width), shapes_for(512, 64)) == expected


def test_a_cut_has_the_ratio_and_the_face(tall: Rgb, mesh: Mesh) -> None:
    scene = square_in(tall, mesh)
    for shape in shapes_for(512, 64):
        picture = fit(cut_to(scene, shape), shape)
        assert picture.shape == (*shape, 3)
        assert len(find_meshes(picture)) == 1, shape


def test_each_shape_comes_as_often_as_it_has_pictures() -> None:
    counts = (5, 1, 2)
    turns = [turn_of_step(7, step, counts) for step in range(1, 25)]
    for start in (0, 8, 16):
        assert Counter(kind for kind, _ in turns[start : start + 8]) == {0: 5, 1: 1, 2: 2}
    for kind, count in enumerate(counts):
        assert [turn for each, turn in turns if each == kind] == list(range(1, 3 * count + 1))
    assert [turn_of_step(7, step, (4,)) for step in (1, 2, 9)] == [(0, 1), (0, 2), (0, 9)]


def test_a_large_base_learns_square_and_scene_and_is_told_their_sizes(
    tall: Rgb, mesh: Mesh, tmp_path: Path
) -> None:
    components = load_base(open_source(write_sdxl(tmp_path / "sdxl"), "sdxl"), "cpu", Loading())
    upright = square_in(tall, mesh)
    scenes = [Scene.of_square(upright.face), upright]
    captions = ["a photo of sks, grey background", "a photo of sks, white background"]
    config = SdxlConfig(flip=True)
    learned = make_examples(components, scenes, captions, config, SDXL)
    height, width = nearest(Shape(*upright.rgb.shape[:2]), shapes_for(components.side, 8))
    assert height > width
    assert learned.counts == (4, 2)
    assert learned.latents[1].shape[2:] == (height // 2, width // 2)
    assert learned.sizes is not None
    assert learned.sizes[0].tolist() == [CROP_SIDE, CROP_SIDE, 0, 0, 32, 32]
    assert learned.sizes[5].tolist()[4:] == [height, width]
    assert learned.captions is not None
    # One in four times no more is said than who it is; else what its own photo shows.
    of_scene = learned.captions[4]
    assert torch.equal(of_scene, learned.captions[1])
    assert not torch.equal(of_scene, learned.captions[0])
    shape = Shape(height, width)
    (mirrored,) = encode_pictures(components, [fit(cut_to(upright, shape), shape)[:, ::-1]])
    assert torch.allclose(learned.latents[1][1], mirrored, atol=1e-4)
    squares = make_examples(
        components, scenes, captions, config.model_copy(update={"scenes": False}), SDXL
    )
    assert squares.counts == (4,)
    assert not MiniConfig().learns_scenes
