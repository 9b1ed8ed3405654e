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
from typing import TYPE_CHECKING, Any

from gpu_runner.engines.warp.params import Params
from gpu_runner.stage import StageContext, StageResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from gpu_runner.engines.warp.compose import Moment, Renderer
    from gpu_runner.engines.warp.inputs import Sitter


def run(context: StageContext) -> StageResult:
    """Render the video.

    Raises:
        StageError: `no-face`, `face-too-small`, `picture-unreadable` or `picture-too-large` for
            the portrait, `speech-unreadable`, `timings-unreadable` or `timings-mismatch`.

    """
    import numpy as np

    from gpu_runner.engines.warp.articulation import articulate
    from gpu_runner.engines.warp.backdrop import Backdrop
    from gpu_runner.engines.warp.compose import moments
    from gpu_runner.engines.warp.inputs import read_sitter, read_speech, read_timings_of
    from gpu_runner.engines.warp.measure import PAUSE, Witness
    from gpu_runner.engines.warp.motion import live
    from gpu_runner.engines.warp.visemes import is_known
    from gpu_runner.media.pictures import write_picture
    from gpu_runner.media.video import stream_lengths, write_video

    params: Params = context.params
    began = time.perf_counter()
    sound, rate = read_speech(context.one("speech"))
    timings = read_timings_of(context.one("timings"), len(sound) / rate)
    sitter = read_sitter(context.one("portrait"), params.aspect, params.size)
    renderer, drawn, blinking = _prepare(sitter, blink=params.blink)
    backdrop = Backdrop(sitter.canvas, sitter.region, sitter.mesh, params.background_blur)
    count = int(np.ceil(len(sound) / rate * params.fps))
    mouth = articulate(timings, sound, rate, params.fps, count)
    rng = np.random.default_rng(context.seed)
    motion = live(mouth.loudness, timings.pauses(PAUSE), params.fps, rng)
    witness = Witness(sitter, mouth, timings, params.fps)
    stands_for_all = witness.poster_index(motion.blink)
    poster = context.output / "poster.jpg"

    def render(moment: Moment) -> NDArray[np.uint8]:
        return backdrop.behind(renderer.frame(moment))

    def watch(index: int, frame: NDArray[np.uint8]) -> None:
        witness.see(index, frame)
        if index == stands_for_all:
            write_picture(poster, frame)
        context.report.progress(index + 1, count, "frame")

    ready = time.perf_counter()
    context.report.line(
        f"{'drawing' if drawn else 'photograph'}, eyes {'blink' if blinking else 'do not blink'}; "
        f"{count} frames to render, ready after {ready - began:.1f} s"
    )
    video = write_video(
        context.output / "video.mp4",
        _in_order(render, moments(mouth, motion, params.motion), watch),
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
        "stream_difference_seconds": round(abs(lengths.video - lengths.audio), 4),
        "portrait": "drawing" if drawn else "photograph",
        "blinks": blinking,
        "unknown_phonemes": sum(not is_known(each.symbol) for each in timings.phonemes),
    }
    metrics |= witness.measures(render(renderer.at_rest()))
    report = context.output / "report.json"
    full = {"metrics": metrics, "fps": params.fps, "tracks": witness.tracks()}
    report.write_text(json.dumps(full), encoding="utf-8")
    return StageResult({"video": [video], "poster": [poster], "report": [report]}, metrics)


def _prepare(sitter: Sitter, *, blink: bool) -> tuple[Renderer, bool, bool]:
    """The renderer, whether the portrait is a drawing, and whether its eyes can blink."""
    from gpu_runner.engines.warp.compose import Renderer
    from gpu_runner.engines.warp.eyes import build_lids, is_drawing
    from gpu_runner.engines.warp.neutral import neutralise

    portrait, mesh = sitter.portrait()
    drawn = is_drawing(portrait, mesh.points)
    face = neutralise(portrait, mesh.points)
    lids = build_lids(face, drawn=drawn) if blink else None
    renderer = Renderer(face, lids, drawn=drawn, goes_on=sitter.goes_on())
    return renderer, drawn, lids is not None


def _in_order(
    render: Callable[[Moment], NDArray[np.uint8]],
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
                ahead.append(pool.submit(render, moment))
            frame = ahead.popleft().result()
            watch(index, frame)
            yield frame
