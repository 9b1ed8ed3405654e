"""The `render_video` stage: a portrait, speech and its timings become a talking video.

Inputs are `portrait` (a picture), `speech` (a sound file) and `timings` (JSON), and if wanted
`music` (a sound file) and `subtitles` (WebVTT, drawn on request); outputs `video` (MP4), `poster`
(JPEG), `animation` (a few seconds as WebP) and `report` (JSON). No network weights but the face
mesh's are used, and no GPU: the portrait is warped. See docs/adr/0004-warp-renderer.md.
"""

from __future__ import annotations

import time

from gpu_runner.engines.warp.params import Params
from gpu_runner.stage import StageContext, StageResult


def run(context: StageContext) -> StageResult:
    """Render the video.

    Raises:
        StageError: `no-face`, `face-too-small`, `profile`, `mouth-hidden`, `picture-unreadable` or
            `picture-too-large` for the portrait; those of `film.read_script`.

    """
    import numpy as np

    from gpu_runner.engines.warp.film import film, read_script
    from gpu_runner.engines.warp.inputs import read_sitter
    from gpu_runner.engines.warp.portrait import Portrait

    params: Params = context.params
    began = time.perf_counter()
    speech = read_script(context)
    sitter = read_sitter(context.one("portrait"), params.aspect, params.size)
    take = Portrait(sitter, speech, params, np.random.default_rng(context.seed))

    def progress(done: int, total: int, message: str) -> None:
        context.report.progress(done, total, "frame", message)

    return film(context, speech, take, began, progress)
