"""The `render_video` stage: a portrait, speech and its timings become a talking video.

Inputs are `portrait` (a picture), `speech` (a sound file) and `timings` (JSON), and if wanted
`music` (a sound file) and `subtitles` (WebVTT, drawn on request); outputs `video` (MP4), `poster`
(JPEG), `animation` (a few seconds as WebP) and `report` (JSON). No network weights but the face
mesh's are used, and no GPU: the portrait is warped. See docs/adr/0004-warp-renderer.md.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from contracts.stagelog import Level

from gpu_runner.engines.warp.params import Params
from gpu_runner.stage import StageContext, StageResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from gpu_runner.engines.warp.compose import Moment, Renderer
    from gpu_runner.engines.warp.inputs import Sitter
    from gpu_runner.engines.warp.timings import Timings
    from gpu_runner.media.captions import Captions
    from gpu_runner.media.mark import Mark


def run(context: StageContext) -> StageResult:
    """Render the video.

    Raises:
        StageError: `no-face`, `face-too-small`, `profile`, `mouth-hidden`, `picture-unreadable` or
            `picture-too-large` for the portrait, `speech-unreadable`, `timings-unreadable` or
            `timings-mismatch`; `music-unreadable` or `music-too-long`; `subtitles-unreadable`,
            `subtitles-missing` or `subtitles-undrawable`; `mark-undrawable`.

    """
    import numpy as np

    from gpu_runner.engines.warp.articulation import articulate
    from gpu_runner.engines.warp.backdrop import Backdrop
    from gpu_runner.engines.warp.compose import moments
    from gpu_runner.engines.warp.finish import Finish
    from gpu_runner.engines.warp.inputs import read_speech, read_timings_of
    from gpu_runner.engines.warp.measure import PAUSE, Witness
    from gpu_runner.engines.warp.motion import live
    from gpu_runner.engines.warp.visemes import is_known
    from gpu_runner.media.animation import Animation
    from gpu_runner.media.pictures import write_picture
    from gpu_runner.media.video import AUDIO_RATE, stream_lengths, write_video

    params: Params = context.params
    began = time.perf_counter()
    sound, rate = read_speech(context.one("speech"))
    timings = read_timings_of(context.one("timings"), len(sound) / rate)
    heard, captions, mark = _extras(context, sound, rate, timings)
    sitter = _sitter(context)
    renderer, drawn, blinking = _prepare(sitter, blink=params.blink)
    backdrop = Backdrop(sitter.canvas, sitter.region, sitter.mesh, params.background_blur)
    count = int(np.ceil(len(sound) / rate * params.fps))
    mouth = articulate(timings, sound, rate, params.fps, count)
    rng = np.random.default_rng(context.seed)
    motion = live(mouth.loudness, timings.pauses(PAUSE), params.fps, rng)
    witness = Witness(sitter, mouth, timings, params.fps, drawn=drawn)
    stands_for_all = witness.poster_index(motion.blink)
    poster = context.output / "poster.jpg"
    finish = Finish(count, params.fps, params.fade_s, captions)
    animation = Animation(count, params.fps, params.fade_s)

    def render(moment: Moment) -> NDArray[np.uint8]:
        return backdrop.behind(renderer.frame(moment))

    def show(index: int, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        witness.see(index, frame)
        if index == stands_for_all:
            write_picture(poster, mark(frame))
        context.report.progress(index + 1, count, "frame")
        # After the fade: a mark is seen from the first frame to the last.
        shown = mark(finish(index, frame))
        animation.see(index, shown)
        return shown

    ready = time.perf_counter()
    context.report.line(
        f"{'drawing' if drawn else 'photograph'}, eyes {'blink' if blinking else 'do not blink'}; "
        f"{count} frames to render, ready after {ready - began:.1f} s"
    )
    video = write_video(
        context.output / "video.mp4",
        _in_order(render, moments(mouth, motion, params.motion), show),
        count=count,
        fps=params.fps,
        sound=heard,
        sample_rate=AUDIO_RATE,
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
        "other_people": sitter.others,
        "blinks": blinking,
        "unknown_phonemes": sum(not is_known(each.symbol) for each in timings.phonemes),
        **witness.measures(render(renderer.at_rest())),
    }
    report = context.output / "report.json"
    report.write_text(
        json.dumps({"metrics": metrics, "fps": params.fps, "tracks": witness.tracks()}), "utf-8"
    )
    moving = animation.write(context.output / "animation.webp")
    outputs = {"video": [video], "poster": [poster], "animation": [moving], "report": [report]}
    return StageResult(outputs, metrics)


def _extras(
    context: StageContext, sound: NDArray[np.float32], rate: int, timings: Timings
) -> tuple[NDArray[np.float32], Captions | None, Mark]:
    """What is heard, at `AUDIO_RATE`, and what is written into the picture, if anything."""
    from gpu_runner.engines.warp.canvas import dimensions
    from gpu_runner.engines.warp.finish import captions_of, soundtrack, with_music
    from gpu_runner.media.mark import Mark

    params: Params = context.params
    heard = soundtrack(sound, rate, timings, params.fade_s)
    if music := context.inputs.get("music"):
        heard = with_music(heard, music[0], params.music_level)
    size = dimensions(params.aspect, params.size)
    mark = Mark(params.mark, *size)
    if not params.burn_subtitles:
        return heard, None, mark
    subtitles = next(iter(context.inputs.get("subtitles", ())), None)
    return heard, captions_of(timings, subtitles, *size), mark


def _sitter(context: StageContext) -> Sitter:
    """Who speaks; if the portrait shows others, that is told."""
    from gpu_runner.engines.warp.inputs import read_sitter

    params: Params = context.params
    sitter = read_sitter(context.one("portrait"), params.aspect, params.size)
    if sitter.others:
        context.report.line(
            f"the portrait shows {sitter.others + 1} people: the largest face speaks; cut the "
            "picture to one person if another should",
            Level.WARNING,
        )
    return sitter


def _prepare(sitter: Sitter, *, blink: bool) -> tuple[Renderer, bool, bool]:
    """The renderer, whether the portrait is a drawing, and whether its eyes can blink."""
    from gpu_runner.engines.warp.compose import Renderer
    from gpu_runner.engines.warp.eyes import build_lids, is_drawing
    from gpu_runner.engines.warp.neutral import neutralise
    from gpu_runner.engines.warp.speaker import require_mouth

    portrait, mesh = sitter.portrait()
    drawn = is_drawing(portrait, mesh.points)
    # A drawn face with something before its mouth is not found to be one at all.
    if not drawn:
        require_mouth(portrait, mesh)
    face = neutralise(portrait, mesh.points)
    lids = build_lids(face, drawn=drawn) if blink else None
    renderer = Renderer(face, lids, drawn=drawn, goes_on=sitter.goes_on())
    return renderer, drawn, lids is not None


def _in_order(
    render: Callable[[Moment], NDArray[np.uint8]],
    story: list[Moment],
    show: Callable[[int, NDArray[np.uint8]], NDArray[np.uint8]],
) -> Iterator[NDArray[np.uint8]]:
    """Frames in order as `show` gives them, rendered ahead while the encoder takes them."""
    workers = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[NDArray[np.uint8]]] = deque()
        upcoming = iter(story)
        for index in range(len(story)):
            while len(ahead) < 2 * workers and (moment := next(upcoming, None)) is not None:
                ahead.append(pool.submit(render, moment))
            yield show(index, ahead.popleft().result())
