"""What is seen between parted lips: cavity, tongue, lower and upper teeth.

The parts are painted once, as small pictures with coverage in the portrait's place and light, and
moved per frame: upper teeth with the skull, lower teeth and tongue with the jaw. Where the
portrait shows its teeth, those are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gpu_runner.engines.warp.geometry import smoothstep
from gpu_runner.engines.warp.neutral import is_grey

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_runner.engines.warp.neutral import NeutralFace

CAVITY = (104.0, 48.0, 44.0)
TONGUE = (176.0, 92.0, 88.0)
TOOTH = (236.0, 226.0, 210.0)
LIGHTNESS = np.array([0.299, 0.587, 0.114])
UPPER_EDGE, GAP_CONTRAST = 0.030, 0.13
# Widths of the upper teeth from the middle outwards, in outer-eye distances.
UPPER_TEETH = (0.098, 0.075, 0.080, 0.070, 0.070)
LOWER_TEETH = (0.062, 0.064, 0.070, 0.068, 0.066, 0.066)
# Light in a mouth that is hardly open, and the opening from which on all of it enters.
SLIT_LIGHT, WELL_OPEN = 0.55, 0.07
# Mesh points on the cheeks, whose light is the face's, and between nose and lip, where a moustache
# keeps it from the teeth.
CHEEKS = (50, 280, 117, 346, 205, 425)
MOUSTACHE = (164, 167, 393, 92, 322, 165, 391)
# A cheek's colour in white light, relative to its lightness.
COMMON_CHEEK = (1.18, 0.96, 0.83)
# The lower teeth do not sink quite as far as the lip that hides them.
TEETH_FOLLOW_JAW = 0.93


@dataclass(frozen=True, slots=True)
class MouthParts:
    """Colours (height, width, 3) and coverages (height, width), float32, of a region.

    `region` is (left, top, right, bottom) in the portrait; colours are 0-255, coverages 0-1.
    `flat` says that nothing is shaded, as in a drawing; `shadow_tint` (3,) are the exponents
    by which shadow darkens red, green and blue.
    """

    region: tuple[int, int, int, int]
    flat: bool
    shadow_tint: NDArray[np.float32]
    cavity: NDArray[np.float32]
    tongue: NDArray[np.float32]
    tongue_coverage: NDArray[np.float32]
    lower: NDArray[np.float32]
    lower_coverage: NDArray[np.float32]
    upper: NDArray[np.float32]
    upper_coverage: NDArray[np.float32]


def build_mouth(face: NeutralFace, region: tuple[int, int, int, int], *, drawn: bool) -> MouthParts:
    """Paint the inside of the mouth for `region` of the portrait; simpler if it is a drawing."""
    left, top, right, bottom = region
    grid = face.frame.grid(face.upper.shape[:2])[top:bottom, left:right]
    mouth = face.mouth
    x = grid[..., 0] - mouth.middle
    below = mouth.below_contact(grid)
    across = x / mouth.half_width
    grey = is_grey(face.upper, face.frame)
    cavity_colour, tongue_colour, enamel = _palette(face, drawn=drawn)
    soft = 0.9 / face.frame.unit

    # Lifted as a whole: a grey floor in a red mouth would be blue.
    lift = max(1.0, _floor(face) / max(1.0, float(cavity_colour @ LIGHTNESS)))
    cavity = np.broadcast_to(lift * cavity_colour, (*x.shape, 3))
    hump = 0.055 - 0.10 * across**2
    tongue_coverage = smoothstep(-0.02, 0.03, below + hump - 0.055) * (np.abs(across) < 0.8)
    tongue_shade = 0.82 + 0.18 * smoothstep(0.0, 0.08, below + hump - 0.04)
    tongue = tongue_colour * tongue_shade[..., None]

    edge = (1.4 if drawn else 1.0) * UPPER_EDGE * (1 - 0.30 * across**2)
    notch, between = _teeth(x, UPPER_TEETH, 0.0 if drawn else GAP_CONTRAST)
    upper_coverage = smoothstep(-soft, soft, edge - (0.0 if drawn else 0.006) * notch - below)
    upper = _enamel(x, enamel, between, flat=drawn)
    lower_notch, lower_between = _teeth(x, LOWER_TEETH, 0.0 if drawn else GAP_CONTRAST)
    rim = 0.016 + 0.02 * across**2 + (0.0 if drawn else 0.005) * lower_notch
    lower_coverage = smoothstep(-soft, soft, below - rim) * (
        1 - smoothstep(0.75, 1.0, np.abs(across))
    )
    lower = _enamel(x, enamel * 0.80, lower_between, flat=drawn)
    if drawn:
        lower_coverage = np.zeros_like(lower_coverage)
    if face.teeth is not None:
        seen = face.teeth[top:bottom, left:right].astype(np.float64)
        own = seen[..., 3:] / 255
        upper = upper * (1 - own) + seen[..., :3] * own
        photographed = own[..., 0] * smoothstep(-0.02, 0.0, below)
        upper_coverage = np.maximum(photographed, upper_coverage * (below < 0.004))
    return MouthParts(
        region,
        drawn,
        np.array((1.0, 1.0, 1.0) if grey else (0.85, 1.0, 1.05), np.float32),
        *(
            np.ascontiguousarray(part, dtype=np.float32)
            for part in (
                cavity,
                tongue,
                tongue_coverage,
                lower,
                lower_coverage,
                upper,
                upper_coverage,
            )
        ),
    )


def paint_mouth(
    parts: MouthParts,
    below: NDArray[np.float32],
    across: NDArray[np.float32],
    *,
    skull: tuple[float, float],
    jaw: tuple[float, float],
    tongue_up: float,
    rounding: float,
    opening: float,
) -> NDArray[np.float32]:
    """The inside of the mouth for one frame, colours (height, width, 3) of the parts' region.

    Args:
        parts: the painted parts.
        below: distance under the upper lip's edge at each pixel, in face units.
        across: place along the mouth at each pixel.
        skull: shift (x, y) in pixels of what is fixed to the skull.
        jaw: shift (x, y) in pixels of what is fixed to the jaw.
        tongue_up: how far the tongue rises, 0-1.
        rounding: how pursed the lips are, 0-1: pursed lips hide the teeth.
        opening: gap between the lips in face units.

    """
    inside = parts.cavity
    tongue_jaw = (jaw[0], jaw[1] * (1 - 0.55 * tongue_up) + (1 - tongue_up) * 2)
    inside = _over(inside, parts.tongue, parts.tongue_coverage, tongue_jaw, 0.95)
    jaw_teeth = (jaw[0], jaw[1] * TEETH_FOLLOW_JAW)
    inside = _over(
        inside, parts.lower, parts.lower_coverage, jaw_teeth, 0.92 * (1 - 0.8 * rounding)
    )
    # A drawn mouth that is hardly open is a dark line, without teeth in it.
    shown = 1 - 0.65 * rounding
    if parts.flat:
        shown = float(np.clip((opening - 0.03) / 0.025, 0, 1) * np.clip(1.2 - 2.4 * rounding, 0, 1))
    inside = _over(inside, parts.upper, parts.upper_coverage, skull, shown)
    if parts.flat:
        return inside
    # The lip above and the cheeks at the sides keep light out.
    shadow = 1 - 0.42 * np.exp(-np.maximum(below, 0) / 0.018)
    shadow *= 1 - 0.62 * np.clip(across * across, 0, 1) ** 1.5
    # So do lips that are hardly apart: teeth in a narrow slit would be a bright line.
    shadow *= SLIT_LIGHT + (1 - SLIT_LIGHT) * min(1.0, opening / WELL_OPEN)
    warmth = shadow[..., None] ** parts.shadow_tint
    return np.asarray(inside * warmth, dtype=np.float32)


def _over(
    base: NDArray[np.float32],
    colour: NDArray[np.float32],
    coverage: NDArray[np.float32],
    shift: tuple[float, float],
    strength: float,
) -> NDArray[np.float32]:
    size = (coverage.shape[1], coverage.shape[0])
    move = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    layer = cv2.warpAffine(
        np.dstack([colour, coverage]), move, size, borderMode=cv2.BORDER_REPLICATE
    )
    alpha = layer[..., 3:] * strength
    return np.asarray(base + (layer[..., :3] - base) * alpha, dtype=np.float32)


def _enamel(
    x: NDArray[np.float64], colour: NDArray[np.float64], between: NDArray[np.float64], *, flat: bool
) -> NDArray[np.float64]:
    # Teeth lie on an arch: those at the side are further back and darker.
    depth = 1 - (0.0 if flat else 0.45) * (np.abs(x) / 0.30).clip(0, 1) ** 2
    shade = depth * (1 - between)
    warm = np.array([-0.15, 0.0, 0.15]) * (np.ptp(colour) > 1)
    tint = shade[..., None] ** warm
    return np.asarray(colour * shade[..., None] * tint)


def _teeth(
    x: NDArray[np.float64], widths: tuple[float, ...], contrast: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rounding of the teeth's edge (0 in a tooth's middle, 1 between two) and darkness between."""
    borders = np.concatenate([[0.0], np.cumsum(widths)])
    place = np.abs(x)
    index = np.clip(np.searchsorted(borders, place, side="right") - 1, 0, len(widths) - 1)
    width = np.array(widths)[index]
    offset = np.abs((place - borders[index]) / width - 0.5) * 2
    near_gap = (1 - offset.clip(0, 1)) * width / 2
    return offset.clip(0, 1) ** 4, contrast * np.exp(-((near_gap / 0.006) ** 2))


def _palette(face: NeutralFace, *, drawn: bool) -> tuple[NDArray[np.float64], ...]:
    """Cavity, tongue and enamel (3,) each in the light of the face; grey on a grey photograph."""
    cheek = _median(face, CHEEKS)
    skin, above = (max(1.0, float(tone @ LIGHTNESS)) for tone in (cheek, _median(face, MOUSTACHE)))
    level = np.clip(skin / 185, 0.45, 1.15) ** 0.7
    shaded = np.clip(above / skin, 0.2, 1.0) ** 0.5
    # In warm light, or under old varnish, a plain mouth would look blue.
    cast = 1.0 if drawn else (cheek / skin / COMMON_CHEEK).clip(0.7, 1.3) ** 0.8
    colours = [np.array(colour) * level * cast for colour in (CAVITY, TONGUE, TOOTH)]
    colours[2] = colours[2] * shaded
    if is_grey(face.upper, face.frame):
        colours = [np.full(3, colour @ LIGHTNESS) for colour in colours]
    return tuple(colours)


def _median(face: NeutralFace, where: tuple[int, ...]) -> NDArray[np.float64]:
    """The median colour (3,) at some points of the mesh."""
    height, width = face.upper.shape[:2]
    at = face.points[list(where), :2].round().astype(int).clip(0, (width - 1, height - 1))
    return np.asarray(np.median(face.upper[at[:, 1], at[:, 0]], axis=0), dtype=np.float64)


def _floor(face: NeutralFace) -> float:
    """A mouth is never blacker than 0.6 of what is darkest in the face."""
    oval = face.points[:, :2]
    (x0, y0), (x1, y1) = oval.min(axis=0).astype(int).clip(0), oval.max(axis=0).astype(int)
    grey = cv2.cvtColor(face.upper[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY)
    return 0.6 * float(np.percentile(grey, 1))
