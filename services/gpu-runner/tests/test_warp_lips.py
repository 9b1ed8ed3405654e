"""Finding lips: where those of a portrait end, and how far apart those of a frame are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gpu_runner.engines.warp.articulation import OPENING
from gpu_runner.engines.warp.bases import NAMES
from gpu_runner.engines.warp.compose import Moment, Renderer
from gpu_runner.engines.warp.edges import snap_edges
from gpu_runner.engines.warp.following import Lips
from gpu_runner.engines.warp.geometry import LOWER_LIP, UPPER_LIP, face_frame
from gpu_runner.engines.warp.neutral import neutralise
from gpu_runner.faces.crops import crop_portrait, widest_face
from gpu_runner.faces.mesh import Mesh, refine_mesh
from numpy.typing import NDArray
from skimage import data

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    photo = np.asarray(data.astronaut())
    portrait = crop_portrait(photo, widest_face(photo, "the photo"))
    mesh = widest_face(portrait, "the portrait")
    return Renderer(neutralise(portrait, mesh.points), None, drawn=False)


@pytest.fixture(scope="module")
def rest(renderer: Renderer) -> tuple[Picture, Mesh]:
    frame = renderer.frame(Renderer.at_rest())
    return frame, refine_mesh(frame, widest_face(frame, "the frame"), looks=4)


def opened(jaw: float, yaw: float = 0.0) -> Moment:
    """The jaw dropped by so much of its way, chin and lip together."""
    weights = np.zeros(len(NAMES), np.float32)
    weights[NAMES.index("chin")], weights[NAMES.index("yaw")] = jaw, yaw
    gap = jaw * OPENING.jaw
    return replace(Renderer.at_rest(), weights=weights, opening=gap, jaw=jaw)


@pytest.mark.parametrize("jaw", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("yaw", [0.0, 3.0])
def test_a_gap_is_seen_as_wide_as_it_is_wherever_the_head_turns(
    jaw: float, yaw: float, renderer: Renderer, rest: tuple[Picture, Mesh]
) -> None:
    seen = Lips(*rest).gap(renderer.frame(opened(jaw, yaw)))
    assert seen == pytest.approx(jaw * OPENING.jaw, rel=0.25)


def test_lips_that_touch_have_no_gap_and_other_movement_makes_none(
    renderer: Renderer, rest: tuple[Picture, Mesh]
) -> None:
    lips = Lips(*rest)
    assert lips.gap(rest[0]) == pytest.approx(0.0, abs=0.003)
    assert lips.gap(renderer.frame(opened(0.0, 3.0))) < 0.006


def inner_gap(frame_points: NDArray[np.float64]) -> float:
    lower, upper = (frame_points[rows[-1][3:8], 1] for rows in (LOWER_LIP, UPPER_LIP))
    return float((lower - upper).mean())


@pytest.mark.parametrize("jaw", [0.35, 0.5])
def test_edges_of_parted_lips_are_found_where_the_mesh_sees_less(
    jaw: float, renderer: Renderer, rest: tuple[Picture, Mesh]
) -> None:
    frame = renderer.frame(opened(jaw))
    mesh = refine_mesh(frame, rest[1], looks=8)
    at = face_frame(mesh.points)
    narrow = at.to_face(mesh.points[:, :2])
    # On this face the mesh sees the gap well; on others it sees as little as this.
    upper, lower = (list(rows[-1]) for rows in (UPPER_LIP, LOWER_LIP))
    missing = 0.35 * (narrow[lower] - narrow[upper])
    narrow[upper] += missing
    narrow[lower] -= missing
    gap = jaw * OPENING.jaw
    assert inner_gap(narrow) < 0.5 * gap
    assert inner_gap(snap_edges(frame, at, narrow)) == pytest.approx(gap, rel=0.35)


def test_parted_lips_are_closed_and_nothing_is_seen_between_them(
    renderer: Renderer, rest: tuple[Picture, Mesh]
) -> None:
    frame = renderer.frame(opened(0.8))
    mesh = refine_mesh(frame, rest[1], looks=8)
    face = neutralise(frame, mesh.points)
    assert face.teeth is not None
    closed = Renderer(face, None, drawn=False).frame(Renderer.at_rest())
    assert Lips(*rest).gap(frame) > 0.06
    assert Lips(*rest).gap(closed) < 0.25 * Lips(*rest).gap(frame)
