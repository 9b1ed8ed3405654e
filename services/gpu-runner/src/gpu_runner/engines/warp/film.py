"""From pictures in which somebody speaks to a finished video: one way for all that make pictures.

What is filmed is a `Take`: a portrait that is warped, or a scene that moves by itself. Sound,
music, subtitles, fades, poster, animation, measures and report are the same for each.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from contracts.stagelog import Level

from gpu_runner.engines.warp.articulation import MouthTrack, articulate
from gpu_runner.engines.warp.canvas import dimensions
from gpu_runner.engines.warp.finish import Finish, captions_of, soundtrack, with_music
from gpu_runner.engines.warp.inputs import read_speech, read_timings_of
from gpu_runner.engines.warp.measure import Witness
from gpu_runner.engines.warp.visemes import is_known
from gpu_runner.media.animation import Animation
from gpu_runner.media.mark import Mark
from gpu_runner.media.pictures import write_picture
from gpu_runner.media.video import AUDIO_RATE, stream_lengths, write_video
from gpu_runner.stage import StageResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from gpu_runner.engines.warp.inputs import Sitter
    from gpu_runner.engines.warp.params import VideoParams
    from gpu_runner.engines.warp.timings import Timings
    from gpu_runner.faces.mesh import Mesh
    from gpu_runner.media.captions import Captions
    from gpu_runner.stage import StageContext


@dataclass(frozen=True, slots=True)
class Speech:
    """What is said, and how the mouth moves to it over `count` frames.

    `sound` (n,) at `rate` hertz is the speech alone, `heard` at `AUDIO_RATE` is with fades and
    music; `captions` are drawn into the pictures, if wanted, and `mark` always.
    """

    sound: NDArray[np.float32]
    rate: int
    timings: Timings
    heard: NDArray[np.float32]
    captions: Captions | None
    mark: Mark
    mouth: MouthTrack
    count: int


class Take(Protocol):
    """Frames of somebody who speaks. `sitter` is the portrait, with its lips as they were.

    A take has one picture or several, numbered from 0, of which its frames are made.
    """

    sitter: Sitter
    eyes_shut: NDArray[np.float64]
    """How far the eyes are shut at each frame (frames,), 0-1; it chooses the poster."""

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Frame `index` (height, width, 3). Any thread may ask, in any order."""

    def picture_at(self, index: int) -> int:
        """The number of the picture that is nearest to frame `index`."""

    def mesh_of(self, picture: int) -> Mesh:
        """The face in a picture, in its pixels."""

    def at_rest(self, picture: int) -> NDArray[np.uint8]:
        """A picture (height, width, 3) with closed lips."""

    def told(self) -> Mapping[str, Any]:
        """What enters the metrics of this take alone."""


def read_script(context: StageContext) -> Speech:
    """Read all that is heard and said.

    Raises:
        StageError: `speech-unreadable`, `timings-unreadable` or `timings-mismatch`;
            `music-unreadable` or `music-too-long`; `subtitles-unreadable`, `subtitles-missing` or
            `subtitles-undrawable`; `mark-undrawable`.

    """
    params: VideoParams = context.params
    sound, rate = read_speech(context.one("speech"))
    timings = read_timings_of(context.one("timings"), len(sound) / rate)
    heard = soundtrack(sound, rate, timings, params.fade_s)
    if music := context.inputs.get("music"):
        heard = with_music(heard, music[0], params.music_level)
    size = dimensions(params.aspect, params.size)
    captions = None
    if params.burn_subtitles:
        subtitles = next(iter(context.inputs.get("subtitles", ())), None)
        captions = captions_of(timings, subtitles, *size)
    count = int(np.ceil(len(sound) / rate * params.fps))
    mouth = articulate(timings, sound, rate, params.fps, count)
    return Speech(sound, rate, timings, heard, captions, Mark(params.mark, *size), mouth, count)


def film(
    context: StageContext,
    speech: Speech,
    take: Take,
    began: float,
    progress: Callable[[int, int, str], None],
    *,
    told: Mapping[str, Any] | None = None,
) -> StageResult:
    """Render all frames of `take` and write everything that a talking video consists of.

    Args:
        context: of the stage; its parameters are `VideoParams`.
        speech: what is said.
        take: who says it.
        began: when preparation began, by `time.perf_counter`.
        progress: told of frames that are done, of how many, with a message.
        told: what enters the metrics besides.

    """
    params: VideoParams = context.params
    count, others = speech.count, take.sitter.others
    if others:
        context.report.line(
            f"the portrait shows {others + 1} people: the largest face speaks; cut the picture to "
            "one person if another should",
            Level.WARNING,
        )
    witness = Witness(take, speech.mouth, speech.timings, params.fps)
    stands_for_all = witness.poster_index(take.eyes_shut)
    poster = context.output / "poster.jpg"
    finish = Finish(count, params.fps, params.fade_s, speech.captions)
    animation = Animation(count, params.fps, params.fade_s)

    def show(index: int, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        witness.see(index, frame)
        if index == stands_for_all:
            write_picture(poster, speech.mark(frame))
        progress(index + 1, count, "")
        # After the fade: a mark is seen from the first frame to the last.
        shown = speech.mark(finish(index, frame))
        animation.see(index, shown)
        return shown

    ready = time.perf_counter()
    context.report.line(f"{count} frames to render, ready after {ready - began:.1f} s")
    video = write_video(
        context.output / "video.mp4",
        _in_order(take.frame, count, show),
        count=count,
        fps=params.fps,
        sound=speech.heard,
        sample_rate=AUDIO_RATE,
        crf=params.crf,
    )
    rendered = time.perf_counter()
    context.report.line(f"{count} frames in {rendered - ready:.1f} s")

    progress(count, count, "measuring")
    lengths = stream_lengths(video)
    phonemes = speech.timings.phonemes
    metrics: dict[str, Any] = {
        "frames": count,
        "fps_rendered": round(count / (rendered - ready), 1),
        "preparation_seconds": round(ready - began, 2),
        "real_time_factor": round((rendered - began) / lengths.video, 3),
        "video_seconds": round(lengths.video, 3),
        "audio_seconds": round(lengths.audio, 3),
        "stream_difference_seconds": round(abs(lengths.video - lengths.audio), 4),
        "other_people": others,
        **take.told(),
        **(told or {}),
        "unknown_phonemes": sum(not is_known(each.symbol) for each in phonemes),
        **witness.measures(),
    }
    report = context.output / "report.json"
    report.write_text(
        json.dumps({"metrics": metrics, "fps": params.fps, "tracks": witness.tracks()}), "utf-8"
    )
    moving = animation.write(context.output / "animation.webp")
    outputs = {"video": [video], "poster": [poster], "animation": [moving], "report": [report]}
    return StageResult(outputs, metrics)


def _in_order(
    render: Callable[[int], NDArray[np.uint8]],
    count: int,
    show: Callable[[int, NDArray[np.uint8]], NDArray[np.uint8]],
) -> Iterator[NDArray[np.uint8]]:
    """Frames in order as `show` gives them, rendered ahead while the encoder takes them."""
    workers = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[NDArray[np.uint8]]] = deque()
        upcoming = iter(range(count))
        for index in range(count):
            while len(ahead) < 2 * workers and (coming := next(upcoming, None)) is not None:
                ahead.append(pool.submit(render, coming))
            yield show(index, ahead.popleft().result())
