"""SadTalker as a plug-in for `render_video`: its own program does the work, this one translates.

SadTalker (OpenTalker/SadTalker, Apache-2.0) wants versions of libraries that are years old. So its
`inference.py` runs on the interpreter of the user's checkout; the job becomes its command line,
its bars become progress, and the film of its frames is shot as that of the engine `warp`.
"""

import time
from pathlib import Path

from gpu_runner.plugins.program import perform
from params import Params

CHECKOUT = Path(__file__).parent / "checkout"


def render(context):
    """Make the video.

    `StageError` as the engine `warp`, and those of `upstream.draw` and `played.Played`.
    """
    import upstream
    from gpu_runner.engines.warp.film import film, read_script
    from gpu_runner.engines.warp.inputs import read_sitter
    from played import Played

    params, began = context.params, time.perf_counter()
    speech = read_script(context)
    sitter = read_sitter(context.one("portrait"), params.aspect, params.size)

    def drawn(share):
        context.report.progress(100 * upstream.SHARE * share, 100, "%", "SadTalker")

    video = upstream.draw(CHECKOUT, context, sitter.canvas, speech, drawn)

    def filmed(done, total, message):
        share = upstream.SHARE + (1 - upstream.SHARE) * done / total
        context.report.progress(100 * share, 100, "%", message or "video")

    with Played(video, sitter, speech.count) as take:
        return film(context, speech, take, began, filmed)


if __name__ == "__main__":
    perform(Params, render)
