"""The `render_video` stage: a portrait, speech and its timings become a talking video.

Inputs are `portrait` (a picture), `speech` (a sound file) and `timings` (JSON); outputs `video`
(MP4), `poster` (JPEG) and `report` (JSON). No network weights but the face mesh's are used, and
no GPU: the portrait is warped. See docs/adr/0004-warp-renderer.md.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gpu_runner.stage import StageContext, StageError, StageResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from gpu_runner.engines.warp.compose import Moment, Renderer
    from gpu_runner.faces.mesh import Mesh

LOOKS = 14
PAUSE = 0.15
# Inside a pause, the lips still close after the last sound and get ready for the next.
PAUSE_EDGE = 0.08


class Params(BaseModel):
    """What a user may choose about the rendering."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fps: Literal[25, 30] = Field(default=25, description="Frames per second")
    size: int = Field(
        default=512, ge=256, le=1024, multiple_of=16, description="Width and height in pixels"
    )
    motion: float = Field(
        default=1.0, ge=0.0, le=1.5, description="Head movement; 0 holds the head still"
    )
    blink: bool = Field(default=True, description="Whether the eyes blink")
    crf: int = Field(
        default=18, ge=12, le=32, description="Compression: 18 looks lossless, 28 is small"
    )


def run(context: StageContext) -> StageResult:
    """Render the video.

    Raises:
        StageError: `no-face`, `several-faces`, `face-too-small` or `picture-unreadable` for the
            portrait, `speech-unreadable`, `timings-unreadable` or `timings-mismatch`.

    """
    import numpy as np

    from gpu_runner.engines.warp import measure
    from gpu_runner.engines.warp.articulation import articulate
    from gpu_runner.engines.warp.compose import moments
    from gpu_runner.engines.warp.motion import live
    from gpu_runner.engines.warp.timings import read_timings
    from gpu_runner.engines.warp.visemes import is_known
    from gpu_runner.media.pictures import write_picture
    from gpu_runner.media.video import stream_lengths, write_video

    params: Params = context.params
    began = time.perf_counter()
    sound, rate = _read_speech(context.one("speech"))
    timings = read_timings(context.one("timings"))
    if abs(timings.duration - len(sound) / rate) > 0.5:
        raise StageError(
            "timings-mismatch",
            f"the timings cover {timings.duration:.1f} s, the speech {len(sound) / rate:.1f} s",
            "Make the speech again; its timings are written beside it.",
        )
    portrait, mesh = _read_portrait(context.one("portrait"), params.size)
    renderer, drawn, blinking = _prepare(portrait, mesh, blink=params.blink)

    count = int(np.ceil(len(sound) / rate * params.fps))
    mouth = articulate(timings, sound, rate, params.fps, count)
    pauses = timings.pauses(PAUSE)
    motion = live(mouth.loudness, pauses, params.fps, np.random.default_rng(context.seed))
    story = moments(mouth, motion, params.motion)

    flicker = measure.Flicker(measure.background(mesh, (params.size, params.size)))
    chosen = set(measure.sample_indices(count))
    kept: dict[int, NDArray[np.uint8]] = {}

    def watch(index: int, frame: NDArray[np.uint8]) -> None:
        flicker.see(frame)
        if index in chosen:
            kept[index] = frame
        context.report.progress(index + 1, count, "frame")

    ready = time.perf_counter()
    video = write_video(
        context.output / "video.mp4",
        _in_order(renderer, story, watch),
        count=count,
        fps=params.fps,
        sound=sound,
        sample_rate=rate,
        crf=params.crf,
    )
    rendered = time.perf_counter()

    context.report.progress(count, count, "frame", "measuring")
    indices = sorted(kept)
    rest = measure.lip_gap(renderer.frame(renderer.at_rest()), mesh)
    gaps = np.array([measure.lip_gap(kept[index], mesh) for index in indices]) - rest
    intended, loud = mouth.opening[indices], mouth.loudness[indices]
    silent = _within(np.array(indices) / params.fps, pauses)
    poster_index = min(indices, key=lambda i: abs(mouth.opening[i] - 0.04) + float(motion.blink[i]))
    likeness = measure.identity_distance(
        portrait, [kept[i] for i in indices[:: max(1, len(indices) // 3)]]
    )
    lengths = stream_lengths(video)
    metrics: dict[str, Any] = {
        "frames": count,
        "fps_rendered": round(count / max(rendered - ready, 1e-6), 1),
        "preparation_seconds": round(ready - began, 2),
        "opening_vs_intended": round(measure.correlation(gaps, intended), 3),
        "opening_vs_sound": round(measure.correlation(gaps, loud), 3),
        "intended_vs_sound": round(measure.correlation(mouth.opening, mouth.loudness), 3),
        "opening_speaking": round(float(gaps[~silent].mean()), 4) if (~silent).any() else None,
        "opening_in_pauses": round(float(gaps[silent].mean()), 4) if silent.any() else None,
        "flicker_background": round(flicker.mean(), 4),
        "identity_distance": None if likeness is None else round(likeness, 3),
        "video_seconds": round(lengths.video, 3),
        "audio_seconds": round(lengths.audio, 3),
        "unknown_phonemes": sum(not is_known(each.symbol) for each in timings.phonemes),
        "portrait": "drawing" if drawn else "photograph",
        "blinks": blinking,
    }
    poster = write_picture(context.output / "poster.jpg", kept[poster_index])
    report = context.output / "report.json"
    tracks = {
        "fps": params.fps,
        "opening_intended": mouth.opening.round(4).tolist(),
        "loudness": mouth.loudness.round(3).tolist(),
        "measured_frames": indices,
        "opening_measured": gaps.round(4).tolist(),
    }
    report.write_text(json.dumps({"metrics": metrics, "tracks": tracks}), encoding="utf-8")
    return StageResult({"video": [video], "poster": [poster], "report": [report]}, metrics)


def _read_speech(path: Path) -> tuple[NDArray[np.float32], int]:
    import soundfile

    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise StageError(
            "speech-unreadable", "the speech is not a sound file", "Make the speech again."
        ) from error
    if len(samples) < rate // 10:
        raise StageError(
            "speech-unreadable", "the speech is shorter than 0.1 s", "Give it more words to say."
        )
    return samples.mean(axis=1), int(rate)


def _read_portrait(path: Path, size: int) -> tuple[NDArray[np.uint8], Mesh]:
    """The portrait as (size, size, 3) and its mesh, averaged over several looks."""
    from gpu_runner.faces.crops import crop_square, only_face
    from gpu_runner.faces.mesh import refine_mesh
    from gpu_runner.media.pictures import decode_picture

    rgb = decode_picture(path, "the portrait")
    square = crop_square(rgb, only_face(rgb, "the portrait"), size)
    return square, refine_mesh(square, only_face(square, "the portrait"), LOOKS)


def _prepare(
    portrait: NDArray[np.uint8], mesh: Mesh, *, blink: bool
) -> tuple[Renderer, bool, bool]:
    """The renderer, whether the portrait is a drawing, and whether its eyes can blink."""
    from gpu_runner.engines.warp.compose import Renderer
    from gpu_runner.engines.warp.eyes import build_lids, is_drawing
    from gpu_runner.engines.warp.neutral import neutralise

    drawn = is_drawing(portrait, mesh.points)
    face = neutralise(portrait, mesh.points)
    lids = build_lids(face, drawn=drawn) if blink else None
    return Renderer(face, lids, drawn=drawn), drawn, lids is not None


def _in_order(
    renderer: Renderer,
    story: list[Moment],
    watch: Callable[[int, NDArray[np.uint8]], None],
) -> Iterator[NDArray[np.uint8]]:
    """Frames in order, rendered ahead on all cores while the encoder takes them."""
    workers = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[NDArray[np.uint8]]] = deque()
        upcoming = iter(story)
        for index in range(len(story)):
            while len(ahead) < 2 * workers and (moment := next(upcoming, None)) is not None:
                ahead.append(pool.submit(renderer.frame, moment))
            frame = ahead.popleft().result()
            watch(index, frame)
            yield frame


def _within(times: NDArray[np.float64], spans: list[tuple[float, float]]) -> NDArray[np.bool_]:
    import numpy as np

    inside = np.zeros(len(times), bool)
    for start, end in spans:
        inside |= (times >= start + PAUSE_EDGE) & (times <= end - PAUSE_EDGE)
    return inside
