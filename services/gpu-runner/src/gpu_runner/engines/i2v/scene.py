"""A scene in which somebody speaks: the take of the engine `i2v`.

The model draws a person who moves, but not to this speech. So in each of its pictures the lips
are closed first, as in a portrait, and opened again by what is said. Between two pictures
what is seen is moved along the optical flow, since a model draws fewer of them than a video shows.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from gpu_runner.engines.i2v.timing import positions
from gpu_runner.engines.warp.canvas import moving_region
from gpu_runner.engines.warp.compose import Renderer, moments
from gpu_runner.engines.warp.eyes import is_drawing
from gpu_runner.engines.warp.film import Take
from gpu_runner.engines.warp.motion import stillness
from gpu_runner.engines.warp.neutral import neutralise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gpu_runner.engines.warp.canvas import Region
    from gpu_runner.engines.warp.compose import Moment
    from gpu_runner.engines.warp.film import Speech
    from gpu_runner.engines.warp.inputs import Sitter
    from gpu_runner.faces.mesh import Mesh

    Rgb = NDArray[np.uint8]
    Flow = NDArray[np.float32]

# What a prepared face takes for each pixel of its region, and what all of them may take together.
BYTES_A_PIXEL, MOST_BYTES = 36, 1_000_000_000
LEAST_KEPT = 8
# Nearer to a picture than this a frame is that picture.
HARDLY = 0.02


class Scene(Take):
    """Pictures of one face that moves by itself."""

    def __init__(
        self,
        sitter: Sitter,
        pictures: Sequence[Rgb],
        meshes: Sequence[Mesh],
        speech: Speech,
        *,
        fps: int,
        rate: float,
    ) -> None:
        """Prepare a scene.

        Args:
            sitter: the portrait that it began with, by which likeness is measured.
            pictures: the scene, each (height, width, 3), at least one.
            meshes: the face in each of them.
            speech: what is said.
            fps: frames a second of the video.
            rate: pictures a second of the scene.

        """
        self._pictures, self._meshes = pictures, meshes
        shape = (pictures[0].shape[0], pictures[0].shape[1])
        self.sitter = replace(sitter, region=_region(shape, meshes))
        face, mesh = self._face(0)
        self._drawn = is_drawing(face, mesh.points)
        self._story = moments(speech.mouth, stillness(speech.count))
        self._at = positions(speech.count, fps, len(pictures), rate)
        self.eyes_shut = np.zeros(speech.count)
        left, top, right, bottom = self.sitter.region
        kept = max(LEAST_KEPT, MOST_BYTES // (BYTES_A_PIXEL * (right - left) * (bottom - top)))
        self._preparing = threading.Lock()
        self._prepared = lru_cache(kept)(self._prepare)
        self._flows = lru_cache(2 * LEAST_KEPT)(self._flow)

    def frame(self, index: int) -> Rgb:
        moment, at = self._story[index], float(self._at[index])
        before = min(int(at), len(self._pictures) - 1)
        share = at - before
        if share < HARDLY:
            return self._spoken(before, moment)
        if share > 1 - HARDLY:
            return self._spoken(before + 1, moment)
        there, back = self._flows(before)
        earlier = _moved(self._spoken(before, moment), there, share)
        later = _moved(self._spoken(before + 1, moment), back, 1 - share)
        return np.asarray(cv2.addWeighted(earlier, 1 - share, later, share, 0), dtype=np.uint8)

    def picture_at(self, index: int) -> int:
        return round(float(self._at[index]))

    def mesh_of(self, picture: int) -> Mesh:
        return self._meshes[picture]

    def at_rest(self, picture: int) -> Rgb:
        return self._spoken(picture, Renderer.at_rest())

    def told(self) -> dict[str, Any]:
        return {"portrait": "drawing" if self._drawn else "photograph"}

    def _spoken(self, picture: int, moment: Moment) -> Rgb:
        """A picture of the scene with the mouth of a moment."""
        with self._preparing:
            renderer = self._prepared(picture)
        left, top, right, bottom = self.sitter.region
        frame = self._pictures[picture].copy()
        frame[top:bottom, left:right] = renderer.frame(moment)
        return frame

    def _prepare(self, picture: int) -> Renderer:
        rgb, mesh = self._face(picture)
        closed = neutralise(rgb, mesh.points)
        return Renderer(closed, None, drawn=self._drawn, goes_on=self.sitter.goes_on())

    def _face(self, picture: int) -> tuple[Rgb, Mesh]:
        shown = replace(self.sitter, canvas=self._pictures[picture], mesh=self._meshes[picture])
        return shown.portrait()

    def _flow(self, picture: int) -> tuple[Flow, Flow]:
        """Where each pixel goes to from one picture to the next, and from that to this."""
        grey = [
            cv2.cvtColor(self.at_rest(each), cv2.COLOR_RGB2GRAY) for each in (picture, picture + 1)
        ]
        # It keeps pictures of its own while it works: one for each thread.
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        there = np.asarray(flow.calc(grey[0], grey[1], None), dtype=np.float32)  # type: ignore[call-overload]
        back = np.asarray(flow.calc(grey[1], grey[0], None), dtype=np.float32)  # type: ignore[call-overload]
        return there, back


def _region(shape: tuple[int, int], meshes: Sequence[Mesh]) -> Region:
    """The part of a picture (height, width) in which the face is at any time."""
    each = np.array([moving_region(shape, mesh) for mesh in meshes])
    left, top = each[:, :2].min(axis=0)
    right, bottom = each[:, 2:].max(axis=0)
    return int(left), int(top), int(right), int(bottom)


def _moved(rgb: Rgb, flow: Flow, share: float) -> Rgb:
    """`rgb` (height, width, 3) with each pixel moved by a share of its flow.

    The flow of where a pixel arrives is taken for that of where it started, which is nearly the
    same where things move as a whole.
    """
    height, width = rgb.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.asarray(
        cv2.remap(
            rgb,
            x - share * flow[..., 0],
            y - share * flow[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        dtype=np.uint8,
    )
