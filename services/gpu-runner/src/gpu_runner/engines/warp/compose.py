"""One frame after the other: mixes the bases, warps both layers, lays them over the mouth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gpu_runner.engines.warp.bases import JAW, NAMES, Bases, Sides, build_bases, settle
from gpu_runner.engines.warp.layers import Layers, lower_coverage, split, upper_coverage
from gpu_runner.engines.warp.mouth import MouthParts, build_mouth, paint_mouth
from gpu_runner.engines.warp.neutral import NeutralFace, upsample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_runner.engines.warp.articulation import MouthTrack
    from gpu_runner.engines.warp.eyes import Eyelids
    from gpu_runner.engines.warp.motion import MotionTrack

INVERSION_STEPS = 3
# Half the width of the lips' edge in pixels of a 512-pixel picture.
EDGE = 0.75
# Pixels over which the mouth's region fades into the rest of the frame.
FEATHER = 8.0


@dataclass(frozen=True, slots=True)
class Moment:
    """All that moves at one frame; the fields of `Pose`, `MotionTrack` and the chin."""

    weights: NDArray[np.float32]
    blink: float
    opening: float
    rounding: float
    tongue: float
    jaw: float


def moments(mouth: MouthTrack, motion: MotionTrack, vigour: float = 1.0) -> list[Moment]:
    """Bring the tracks into the order of the bases, one entry per frame.

    `vigour` scales the head's movement.
    """
    columns = {
        "chin": mouth.chin,
        # Lips move faster than the heavy chin: they make up the difference.
        "lip": mouth.column("jaw") - mouth.chin,
        "lower": mouth.column("lower"),
        "upper": mouth.column("upper"),
        "wide": mouth.column("wide"),
        "round": mouth.column("round"),
        "press": mouth.column("press"),
        "tuck": mouth.column("tuck"),
        "brow": motion.brow,
        "yaw": vigour * motion.yaw,
        "pitch": vigour * motion.pitch,
        "roll": vigour * motion.roll,
        "breath": vigour * motion.breath,
    }
    weights = np.stack([columns[name] for name in NAMES], axis=1).astype(np.float32)
    return [
        Moment(
            weights[i],
            float(motion.blink[i]),
            float(mouth.opening[i]),
            float(mouth.column("round")[i]),
            float(mouth.column("tongue")[i]),
            float(mouth.column("jaw")[i]),
        )
        for i in range(len(weights))
    ]


class Renderer:
    """Renders frames of one portrait. Frames are independent: any order, any thread."""

    def __init__(
        self,
        face: NeutralFace,
        lids: Eyelids | None,
        *,
        drawn: bool,
        goes_on: Sides = (False, False, False, False),
    ) -> None:
        """Prepare a closed face.

        Args:
            face: the portrait with its mouth closed.
            lids: what closes its eyes, if anything can.
            drawn: whether it is a drawing.
            goes_on: at which edges (left, top, right, bottom) a still picture continues it.

        """
        self._face = face
        self._lids = lids
        self._layers: Layers = split(face)
        self._bases: Bases = settle(build_bases(face, drawn=drawn), goes_on)
        self._region = _mouth_region(face, self._bases.reach)
        self._feather = _feather(self._region)
        self._parts: MouthParts = build_mouth(face, self._region, drawn=drawn)
        self._shape = (face.upper.shape[0], face.upper.shape[1])
        row, column = (round(v / self._bases.step) for v in face.frame.origin[::-1])
        self._mouth_cell = (row, column)
        self._softness = EDGE * max(self._shape) / 512 / face.frame.unit
        self._plane = np.stack(
            np.meshgrid(
                np.arange(self._bases.upper.shape[2]) * self._bases.step,
                np.arange(self._bases.upper.shape[1]) * self._bases.step,
            ),
            axis=-1,
        ).astype(np.float32)

    @staticmethod
    def at_rest() -> Moment:
        """The moment in which nothing moves."""
        return Moment(np.zeros(len(NAMES), np.float32), 0.0, 0.0, 0.0, 0.0, 0.0)

    def frame(self, moment: Moment) -> NDArray[np.uint8]:
        """The picture (height, width, 3) at `moment`."""
        upper_field = np.tensordot(moment.weights, self._bases.upper, axes=1)
        lower_field = np.tensordot(moment.weights, self._bases.lower, axes=1)
        upper_map = upsample(self._invert(upper_field), self._bases.step, self._shape)
        source = self._layers.upper
        if self._lids is not None and moment.blink > 0:
            source = self._lids.closed(source, moment.blink)
        frame = cv2.remap(
            source,
            upper_map[..., 0],
            upper_map[..., 1],
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        ).astype(np.uint8)
        self._open_mouth(frame, moment, upper_map, lower_field)
        return frame

    def _open_mouth(
        self,
        frame: NDArray[np.uint8],
        moment: Moment,
        upper_map: NDArray[np.float32],
        lower_field: NDArray[np.float32],
    ) -> None:
        """Lay mouth, lower layer and upper layer over each other in the mouth's region."""
        window = self._window(self._region)
        lower_map = self._upsample_in_region(self._invert(lower_field))
        over = np.ascontiguousarray(upper_map[window])
        upper_below, upper_across = self._sample(over)
        lower_below, lower_across = self._sample(lower_map)
        lower = cv2.remap(
            self._layers.lower,
            lower_map[..., 0],
            lower_map[..., 1],
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        parted = min(1.0, max(0.0, moment.opening / 0.05))
        upper_alpha = np.maximum(
            upper_coverage(upper_below, upper_across, parted, self._softness), self._feather
        )[..., None]
        lower_alpha = lower_coverage(lower_below, lower_across, parted, self._softness)[..., None]
        skull, jaw = self._carried(moment)
        inside = paint_mouth(
            self._parts,
            upper_below,
            upper_across,
            skull=skull,
            jaw=jaw,
            tongue_up=moment.tongue,
            rounding=moment.rounding,
            opening=self._bases.reach * moment.opening,
        )
        mixed = inside + (lower - inside) * lower_alpha
        mixed += (frame[window] - mixed) * upper_alpha
        frame[window] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)

    def _carried(self, moment: Moment) -> tuple[tuple[float, float], tuple[float, float]]:
        """Shift in pixels of the mouth's inside with the skull, and with the jaw."""
        first = NAMES.index("yaw")
        row, column = self._mouth_cell
        head = moment.weights[first:] @ self._bases.upper[first:, row, column]
        drop = moment.jaw * JAW * self._bases.reach * self._face.frame.axes[:, 1]
        return (float(head[0]), float(head[1])), (
            float(head[0] + drop[0]),
            float(head[1] + drop[1]),
        )

    def _invert(self, field: NDArray[np.float32]) -> NDArray[np.float32]:
        """Where each grid place comes from: p = q - D(p), by fixed-point steps."""
        source = self._plane - field
        for _ in range(INVERSION_STEPS - 1):
            cells = source / self._bases.step
            moved = cv2.remap(
                field,
                cells[..., 0],
                cells[..., 1],
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            source = self._plane - moved
        return np.asarray(source, dtype=np.float32)

    def _upsample_in_region(self, grid: NDArray[np.float32]) -> NDArray[np.float32]:
        left, top, right, bottom = self._region
        return upsample(grid, self._bases.step, (bottom - top, right - left), (left, top))

    def _sample(
        self, where: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        below = cv2.remap(
            self._layers.below,
            where[..., 0],
            where[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        across = cv2.remap(
            self._layers.across,
            where[..., 0],
            where[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return below.astype(np.float32), across.astype(np.float32)

    @staticmethod
    def _window(region: tuple[int, int, int, int]) -> tuple[slice, slice]:
        left, top, right, bottom = region
        return slice(top, bottom), slice(left, right)


def _mouth_region(face: NeutralFace, reach: float) -> tuple[int, int, int, int]:
    """The part of the picture where the layers may differ: the mouth and the upper chin."""
    mouth = face.mouth
    height, width = face.upper.shape[:2]
    across = mouth.half_width + 0.22
    down = max(0.85 * mouth.chin + JAW * reach, mouth.lower_height + 0.2) + 0.1
    corners = np.array([[x, y] for x in (-across, across) for y in (-0.16, down)])
    at = face.frame.to_picture(corners + np.array([mouth.middle, 0.0]))
    left, top = np.floor(at.min(axis=0)).astype(int)
    right, bottom = np.ceil(at.max(axis=0)).astype(int)
    return max(0, int(left)), max(0, int(top)), min(width, int(right)), min(height, int(bottom))


def _feather(region: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """One at a region's border, falling to zero within it, (height, width)."""
    left, top, right, bottom = region
    x = np.minimum(np.arange(right - left), np.arange(right - left)[::-1])
    y = np.minimum(np.arange(bottom - top), np.arange(bottom - top)[::-1])
    inward = np.minimum(x[None, :], y[:, None]) / FEATHER
    return np.asarray(1 - inward.clip(0, 1), dtype=np.float32)
