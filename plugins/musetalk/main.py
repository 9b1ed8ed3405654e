"""MuseTalk as a plug-in for `render_video`: the program, which keeps the protocol.

Inputs and outputs are those of the engine `warp`, whose film it shoots: MuseTalk gives the mouth.
It runs on the runner's own interpreter and uses its modules; a plug-in from elsewhere would rather
be like `audiogram`, which imports nothing of MySpinBot.
"""

import time
from pathlib import Path

from gpu_runner.plugins.program import perform
from params import Params

HERE = Path(__file__).parent


def render(context):
    """Make the video; `StageError` as the engine `warp`, and those of `models.load`."""
    from dataclasses import replace

    import models
    import numpy as np
    from gpu_runner.engines.diffusion.components import use_processors
    from gpu_runner.engines.warp.film import film, read_script
    from gpu_runner.engines.warp.inputs import read_sitter
    from gpu_runner.engines.warp.params import Params as PortraitParams
    from gpu_runner.engines.warp.portrait import Portrait
    from talking import Talking

    params, began = context.params, time.perf_counter()
    use_processors()
    speech = read_script(context)
    sitter = read_sitter(context.one("portrait"), params.aspect, params.size)
    context.report.progress(0, speech.count, "frame", "loading the model")
    loaded = models.load(HERE / "weights", params, context.device)
    # The head and the eyes move as in `warp`, while the lips stay closed for MuseTalk to open.
    shut = replace(
        speech.mouth,
        pose=np.zeros_like(speech.mouth.pose),
        chin=np.zeros_like(speech.mouth.chin),
        opening=np.zeros_like(speech.mouth.opening),
    )
    portrait = Portrait(
        sitter,
        replace(speech, mouth=shut),
        PortraitParams.model_validate(params.model_dump(include=set(PortraitParams.model_fields))),
        np.random.default_rng(context.seed),
    )
    take = Talking(portrait, loaded, speech, params)

    def progress(done, total, message):
        context.report.progress(done, total, "frame", message)

    return film(context, speech, take, began, progress)


if __name__ == "__main__":
    perform(Params, render)
