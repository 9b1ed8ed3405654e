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
    from gpu_runner.engines.warp.timings import Timings
    from gpu_runner.faces.mesh import Mesh

LOOKS = 14


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
        StageError: `no-face`, `face-too-small`, `picture-unreadable` or `picture-too-large` for
            the portrait, `speech-unreadable`, `timings-unreadable` or `timings-mismatch`.

    """
    import numpy as np

    from gpu_runner.engines.warp.articulation import articulate
    from gpu_runner.engines.warp.compose import moments
    from gpu_runner.engines.warp.measure import PAUSE, Witness
    from gpu_runner.engines.warp.motion import live
    from gpu_runner.engines.warp.visemes import is_known
    from gpu_runner.media.pictures import write_picture
    from gpu_runner.media.video import stream_lengths, write_video

    params: Params = context.params
    began = time.perf_counter()
    sound, rate = _read_speech(context.one("speech"))
    timings = _read_timings(context.one("timings"), len(sound) / rate)
    portrait, mesh = _read_portrait(context.one("portrait"), params.size)
    renderer, drawn, blinking = _prepare(portrait, mesh, blink=params.blink)
    count = int(np.ceil(len(sound) / rate * params.fps))
    mouth = articulate(timings, sound, rate, params.fps, count)
    rng = np.random.default_rng(context.seed)
    motion = live(mouth.loudness, timings.pauses(PAUSE), params.fps, rng)
    witness = Witness(portrait, mesh, mouth, timings, params.fps)

    def watch(index: int, frame: NDArray[np.uint8]) -> None:
        witness.see(index, frame)
        context.report.progress(index + 1, count, "frame")

    ready = time.perf_counter()
    context.report.line(
        f"{'drawing' if drawn else 'photograph'}, eyes {'blink' if blinking else 'do not blink'}; "
        f"{count} frames to render, ready after {ready - began:.1f} s"
    )
    video = write_video(
        context.output / "video.mp4",
        _in_order(renderer, moments(mouth, motion, params.motion), watch),
        count=count,
        fps=params.fps,
        sound=sound,
        sample_rate=rate,
        crf=params.crf,
    )
    rendered = time.perf_counter()
    context.report.line(f"{count} frames in {rendered - ready:.1f} s")

    context.report.progress(count, count, "frame", "measuring")
    lengths = stream_lengths(video)
    metrics: dict[str, Any] = {
        "frames": count,
        "fps_rendered": round(count / (rendered - ready), 1),
        "preparation_seconds": round(ready - began, 2),
        "real_time_factor": round((rendered - began) / lengths.video, 3),
        "video_seconds": round(lengths.video, 3),
        "audio_seconds": round(lengths.audio, 3),
        "portrait": "drawing" if drawn else "photograph",
        "blinks": blinking,
        "unknown_phonemes": sum(not is_known(each.symbol) for each in timings.phonemes),
    }
    metrics |= witness.measures(renderer.frame(renderer.at_rest()))
    poster = write_picture(context.output / "poster.jpg", witness.poster(motion.blink))
    report = context.output / "report.json"
    full = {"metrics": metrics, "fps": params.fps, "tracks": witness.tracks()}
    report.write_text(json.dumps(full), encoding="utf-8")
    return StageResult({"video": [video], "poster": [poster], "report": [report]}, metrics)


def _read_timings(path: Path, seconds: float) -> Timings:
    from gpu_runner.engines.warp.timings import read_timings

    timings = read_timings(path)
    if abs(timings.duration - seconds) > 0.5:
        raise StageError(
            "timings-mismatch",
            f"the timings cover {timings.duration:.1f} s, the speech {seconds:.1f} s",
            "Make the speech again; its timings are written beside it.",
        )
    return timings


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
    from gpu_runner.faces.crops import crop_square, widest_face
    from gpu_runner.faces.mesh import refine_mesh
    from gpu_runner.media.pictures import decode_picture

    rgb = decode_picture(path, "the portrait")
    square = crop_square(rgb, widest_face(rgb, "the portrait"), size)
    return square, refine_mesh(square, widest_face(square, "the portrait"), LOOKS)


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
