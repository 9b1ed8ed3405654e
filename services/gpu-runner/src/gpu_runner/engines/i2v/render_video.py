"""The stage `render_video` on an image-to-video model: the portrait comes to life, and speaks.

Inputs and outputs are those of the engine `warp`; besides, `prompt` (text, if wanted) says what the
scene shall show. Only parameters and entry live here; torch is imported when a run begins.
See docs/adr/0032-moving-scenes.md.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.stagelog import Level

from gpu_runner.engines.i2v.params import Params
from gpu_runner.engines.warp.params import Params as PortraitParams
from gpu_runner.engines.warp.params import VideoParams
from gpu_runner.models.weights import weights_of
from gpu_runner.stage import StageContext, StageResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gpu_runner.engines.warp.film import Speech, Take
    from gpu_runner.engines.warp.inputs import Sitter

LONGEST_WISH = 500
# A scene in which the face is seen for less than this, in seconds, is none.
SHORTEST = 0.5
# Of the stage's time, by a guess: the model takes most of it.
SCENE_SHARE = 0.8


def run(context: StageContext, base: Path | None = None) -> StageResult:
    """Draw a scene that begins with the portrait, and let the person speak in it.

    `base` is a diffusers directory; without, what `weights_of` finds. Where the person's face is
    not found in the scene, the portrait itself speaks, and a warning tells so.

    Raises:
        StageError: those of the engine `warp`, of `families.open_source`, `memory-too-small`,
            `memory-exhausted`, `base-unreadable`, `nothing-drawn`.

    """
    from gpu_runner.engines.warp.film import film, read_script
    from gpu_runner.engines.warp.inputs import read_sitter

    params: Params = context.params
    began = time.perf_counter()
    speech = read_script(context)
    sitter = read_sitter(context.one("portrait"), params.aspect, params.size)
    pictures, rate = _draw(context, sitter.canvas, base or weights_of("i2v"))
    take, told = take_of(context, sitter, speech, pictures, rate)

    def progress(done: int, total: int, message: str) -> None:
        share = SCENE_SHARE + (1 - SCENE_SHARE) * done / total
        context.report.progress(100 * share, 100, "%", message or "video")

    return film(context, speech, take, began, progress, told=told)


def take_of(
    context: StageContext,
    sitter: Sitter,
    speech: Speech,
    pictures: Sequence[NDArray[np.uint8]],
    rate: float,
) -> tuple[Take, dict[str, Any]]:
    """The scene of these pictures, as far as it shows the face; without one, the portrait.

    And what is to be told of it: `scene` is "moving" or "lost", `scene_pictures` how many the
    model has drawn, `scene_followed` in how many the face was found.
    """
    import numpy as np

    from gpu_runner.engines.i2v.scene import Scene
    from gpu_runner.engines.i2v.tracking import follow
    from gpu_runner.engines.warp.portrait import Portrait

    params: Params = context.params
    meshes = follow(pictures, sitter.mesh, rate)
    told = {"scene_pictures": len(pictures), "scene_followed": len(meshes)}
    seen = f"the face is seen in {len(meshes)} of {len(pictures)} pictures of the scene"
    if len(meshes) >= max(2.0, SHORTEST * rate):
        context.report.line(seen, Level.INFO if len(meshes) == len(pictures) else Level.WARNING)
        shown = pictures[: len(meshes)]
        scene = Scene(sitter, shown, meshes, speech, fps=params.fps, rate=rate)
        return scene, {"scene": "moving", **told}
    context.report.line(
        f"{seen}: the portrait speaks without it. Another seed, prompt or model may do better",
        Level.WARNING,
    )
    still = PortraitParams.model_validate(params.model_dump(include=set(VideoParams.model_fields)))
    portrait = Portrait(sitter, speech, still, np.random.default_rng(context.seed))
    return portrait, {"scene": "lost", **told}


def _draw(
    context: StageContext, first: NDArray[np.uint8], base: Path
) -> tuple[list[NDArray[np.uint8]], float]:
    """The scene's pictures, of the shape of `first`, and how many of them a second has."""
    import torch

    from gpu_runner.engines.diffusion.components import use_processors
    from gpu_runner.engines.i2v.drawing import Model, require_room
    from gpu_runner.engines.i2v.families import open_source

    params: Params = context.params
    use_processors()
    source = open_source(base)
    context.report.progress(0, 100, "%", "loading the model")
    context.report.line(require_room(source, params, torch.device(context.device)))
    model = Model(source, params, context.device)
    total, done = params.clips * model.steps, 0

    def tick() -> None:
        nonlocal done
        done += 1
        context.report.progress(100 * SCENE_SHARE * min(1, done / total), 100, "%", "scene")

    wish = _wish(context)
    if wish and not source.family.worded:
        context.report.line(f"{source.family.title} heeds no words", Level.WARNING)
    pictures = [first]
    for clip in range(params.clips):
        drawn = model.draw(pictures[-1], wish, context.seed + clip, tick)
        # A clip begins with the picture that the one before it has ended with.
        pictures += drawn[1:]
        if not clip:
            # What the model makes of the portrait is as soft as what follows.
            pictures[0] = drawn[0]
    return pictures, model.rate


def _wish(context: StageContext) -> str:
    """What the user asked the scene to show, or nothing."""
    if not context.inputs.get("prompt"):
        return ""
    return context.one("prompt").read_text("utf-8", errors="replace")[:LONGEST_WISH]
