"""Honest measures of a rendered video, taken from its frames and not from the intention.

Lips are found again in rendered frames, as they would be in any video; the gap between them is
compared with the gap that was intended and with the sound. On photographs each lip is followed
(`following`), on drawings, where lips are lines that change their shape, the face mesh is fitted.
Gaps are in distances of the outer eye corners, times in frames or seconds as the names say.

`lag_frames`: by how many frames the seen mouth comes after the loudness of the sound, negative if
    before it, to a fraction of a frame; null where either does not vary.
`lag_intended_frames`: the same against the intended opening; anything but 0 is a renderer's fault.
`opening_vs_intended`, `opening_vs_sound`: correlation of the seen opening with the intended one and
    with the loudness; `intended_vs_sound` is what the latter could reach.
`opening_speaking`, `opening_in_pauses`: mean seen gap while speaking, and in the inner part of
    pauses longer than 0.15 s.
`shut_in_pauses`: the share of the frames looked at there whose lips touch.
`closed_at_pbm`: the share of p, b and m at which the lips touch in the frame; `pbm_closed` of
    `pbm_seen` in numbers, at most 16 spread over the speech.
`flicker_background`: mean change of a pixel outside head and shoulders from frame to frame, of 255.
`identity_distance`: mean distance of the face's embedding from the portrait's; others are 0.6 away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from gpu_runner.engines.warp.articulation import LEAD
from gpu_runner.engines.warp.eyes import is_drawing
from gpu_runner.engines.warp.following import Lips
from gpu_runner.faces.identity import distance, embed
from gpu_runner.faces.mesh import Mesh, refine_mesh

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gpu_runner.engines.warp.articulation import MouthTrack
    from gpu_runner.engines.warp.film import Take
    from gpu_runner.engines.warp.timings import Timings

INNER_UPPER, INNER_LOWER = (82, 13, 312), (87, 14, 317)
SHUT_SOUNDS = ("p", "b", "m")
# Lips nearer than this, in outer-eye distances, touch: the mesh sees as much where they do.
SHUT_GAP = 0.014
# "Shut in silence" is judged in pauses longer than this, in seconds, and not at their edges, where
# lips still close after the last sound or get ready for the next.
PAUSE, PAUSE_EDGE = 0.15, 0.08
# Frames that are measured; more would cost time and tell nothing new.
SAMPLES = 64
# Shifts at which lag is looked for, in frames either way.
FARTHEST = 8
# Faces are kept at this many pixels a side: the mesh sees no more, and they need little memory.
KEPT_SIDE = 320


def sample_indices(frames: int, samples: int = SAMPLES) -> list[int]:
    """At most `samples` frame numbers, evenly spread."""
    return sorted({int(i) for i in np.linspace(0, frames - 1, min(frames, samples)).round()})


def shut_indices(
    timings: Timings, opening: NDArray[np.float64], fps: int, most: int = 16
) -> list[int]:
    """The frame at which the lips should touch for each p, b and m, for at most `most` of them."""
    found = []
    for phoneme in timings.phonemes:
        if phoneme.symbol in SHUT_SOUNDS:
            first = max(0, int((phoneme.start - LEAD) * fps))
            last = min(len(opening), int(phoneme.end * fps) + 1)
            if last > first:
                found.append(first + int(np.argmin(opening[first:last])))
    return [found[i] for i in sample_indices(len(found), most)] if found else []


def lip_gap(rgb: NDArray[np.uint8], near: Mesh) -> float:
    """Gap between the inner lips in outer-eye distances, for a face close to mesh `near`."""
    mesh = refine_mesh(rgb, near, looks=2)
    gap = mesh.points[list(INNER_LOWER), :2] - mesh.points[list(INNER_UPPER), :2]
    eyes = mesh.points[263, :2] - mesh.points[33, :2]
    down = np.array([-eyes[1], eyes[0]]) / np.hypot(*eyes)
    return float((gap @ down).mean()) / mesh.eye_distance


def correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Pearson's r of two tracks (n,); 0 when either does not vary."""
    if len(a) < 3 or np.std(a) < 1e-9 or np.std(b) < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def lag(
    seen: NDArray[np.float64], at: Sequence[int], expected: NDArray[np.float64]
) -> float | None:
    """By how many frames `seen` (n,), looked at in the frames `at`, comes after `expected`.

    `expected` has an entry for every frame. The shift of the highest correlation is refined by a
    parabola through its neighbours. None if there is nothing to compare.
    """
    frames = np.asarray(at)
    reach = min(FARTHEST, (len(expected) - 1) // 4)
    inner = (frames >= reach) & (frames < len(expected) - reach)
    shifts = range(-reach, reach + 1)
    fits = [correlation(seen[inner], expected[frames[inner] - shift]) for shift in shifts]
    if reach < 1 or max(fits) <= 0:
        return None
    best = int(np.argmax(fits))
    if not 0 < best < len(fits) - 1:
        return float(shifts[best])
    before, top, after = fits[best - 1 : best + 2]
    return shifts[best] + 0.5 * (before - after) / (before - 2 * top + after)


def identity_distance(
    portrait: NDArray[np.uint8], frames: Sequence[NDArray[np.uint8]]
) -> float | None:
    """Mean embedding distance of `frames` to `portrait`; None where no face is recognised."""
    reference = embed(portrait)
    if reference is None:
        return None
    found = [other for frame in frames if (other := embed(frame)) is not None]
    return float(np.mean([distance(reference, other) for other in found])) if found else None


def background(mesh: Mesh, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels (height, width) lie above the chin's height and clear of head and hair."""
    left, top, right, bottom = mesh.box
    cx, cy = mesh.centre
    y, x = np.mgrid[: shape[0], : shape[1]]
    away = np.hypot((x - cx) / (right - left), (y - cy) / (bottom - top)) > 1.15
    return np.asarray(away & (y < bottom))


class Witness:
    """Watches a video while it is rendered and says afterwards what there was to see."""

    def __init__(self, take: Take, mouth: MouthTrack, timings: Timings, fps: int) -> None:
        """Get ready to watch `take` make the movement `mouth`."""
        self._take, self._mouth, self._fps = take, mouth, fps
        sitter = take.sitter
        portrait, mesh = sitter.portrait()
        self._drawn = is_drawing(portrait, mesh.points)
        left, top, right, bottom = sitter.region
        self._window = slice(top, bottom), slice(left, right)
        self._scale = min(1.0, KEPT_SIDE / max(right - left, bottom - top))
        self._corner = left, top
        self._portrait = self._face(sitter.canvas)
        self._gaps = np.zeros(0)
        self._pauses = timings.pauses(PAUSE)
        self._spread = sample_indices(len(mouth.opening))
        self._shut = shut_indices(timings, mouth.opening, fps)
        self._kept: dict[int, NDArray[np.uint8]] = {}
        shape = (sitter.canvas.shape[0], sitter.canvas.shape[1])
        self._still = background(sitter.mesh, shape)[::4, ::4]
        self._last: NDArray[np.int16] | None = None
        self._changes: list[float] = []

    def see(self, index: int, rgb: NDArray[np.uint8]) -> None:
        """Take in frame number `index` (height, width, 3); frames come in order."""
        if index in self._spread or index in self._shut:
            self._kept[index] = self._face(rgb)
        # One pixel in sixteen of the background says the same as all of them.
        here = rgb[::4, ::4][self._still].astype(np.int16)
        if self._last is not None and here.size:
            self._changes.append(float(np.abs(here - self._last).mean()))
        self._last = here

    def poster_index(self, blink: NDArray[np.float64]) -> int:
        """The frame that stands for the video: lips a little open, eyes not (`blink` per frame)."""
        beauty = [abs(self._mouth.opening[i] - 0.04) + blink[i] for i in self._spread]
        return self._spread[int(np.argmin(beauty))]

    def _face(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        face = rgb[self._window]
        if self._scale == 1:
            return face.copy()
        scale = self._scale
        small = cv2.resize(face, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        return np.asarray(small, dtype=np.uint8)

    def measures(self) -> dict[str, float | None]:
        """What was seen; gaps are counted from those of each picture with closed lips."""
        shown = {i: self._take.picture_at(i) for i in self._kept}
        gaps = {picture: self._gap_of(picture) for picture in set(shown.values())}
        seen = {i: gaps[shown[i]](frame) for i, frame in self._kept.items()}
        self._gaps = np.array([seen[i] for i in self._spread])
        opening, loudness = self._mouth.opening, self._mouth.loudness
        silent = self._silent()
        touching = np.array([seen[i] < SHUT_GAP for i in self._shut], dtype=np.float64)
        some = [self._kept[i] for i in self._spread[:: max(1, len(self._spread) // 3)]]
        return {
            "lag_frames": _rounded(lag(self._gaps, self._spread, loudness), 2),
            "lag_intended_frames": _rounded(lag(self._gaps, self._spread, opening), 2),
            "opening_vs_intended": _rounded(correlation(self._gaps, opening[self._spread])),
            "opening_vs_sound": _rounded(correlation(self._gaps, loudness[self._spread])),
            "intended_vs_sound": _rounded(correlation(opening, loudness)),
            "opening_speaking": _mean(self._gaps[~silent]),
            "opening_in_pauses": _mean(self._gaps[silent]),
            "shut_in_pauses": _mean((self._gaps[silent] < SHUT_GAP).astype(np.float64)),
            "closed_at_pbm": _mean(touching),
            "pbm_closed": int(touching.sum()),
            "pbm_seen": len(touching),
            "flicker_background": _mean(np.array(self._changes)),
            "identity_distance": _rounded(identity_distance(self._portrait, some)),
        }

    def _gap_of(self, picture: int) -> Callable[[NDArray[np.uint8]], float]:
        """What measures the gap in faces of frames of this picture, from closed lips on."""
        left, top = self._corner
        mesh = self._take.mesh_of(picture).moved(-left, -top, self._scale)
        rest = self._face(self._take.at_rest(picture))
        if not self._drawn:
            return Lips(rest, refine_mesh(rest, mesh, looks=4)).gap
        shut = lip_gap(rest, mesh)
        return lambda frame: lip_gap(frame, mesh) - shut

    def tracks(self) -> dict[str, list[float]]:
        """The openings behind the measures, for plots; ask for `measures` first."""
        return {
            "opening_intended": self._mouth.opening.round(4).tolist(),
            "loudness": self._mouth.loudness.round(3).tolist(),
            "measured_frames": [float(i) for i in self._spread],
            "opening_measured": self._gaps.round(4).tolist(),
        }

    def _silent(self) -> NDArray[np.bool_]:
        times = np.array(self._spread) / self._fps
        silent = np.zeros(len(times), bool)
        for start, end in self._pauses:
            silent |= (times >= start + PAUSE_EDGE) & (times <= end - PAUSE_EDGE)
        return silent


def _mean(values: NDArray[np.float64]) -> float | None:
    return _rounded(float(values.mean())) if values.size else None


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)
