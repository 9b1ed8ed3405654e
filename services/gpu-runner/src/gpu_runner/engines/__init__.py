"""The engines: each folder holds one family, each module one stage kind.

This list is all that the runner knows of them.
"""

from __future__ import annotations

from collections.abc import Callable

from contracts.capabilities import Weights
from contracts.commands import Lane
from contracts.events import Quality

from gpu_runner.catalogue import Engine
from gpu_runner.engines.diffusion.config import LARGE_PRESETS, MINI_PRESETS, Presets
from gpu_runner.engines.diffusion.portrait import LARGE_PORTRAIT_PRESETS
from gpu_runner.engines.i2v.params import SCENE_PRESETS
from gpu_runner.engines.openai.write_script import lacking as lacking_writer
from gpu_runner.models import upscaler


def _engine(
    folder: str,
    kind: str,
    title: str,
    lane: Lane,
    typical_s: float | tuple[float, float, float] | None,
    *,
    presets: Presets | None = None,
    version: str = "1",
    checkpoints: bool = False,
    spreads: bool = False,
    light: bool = False,
    weights: str | None = None,
    qualities: tuple[Quality, ...] = tuple(Quality),
    lacking: Callable[[], tuple[Weights, ...]] = tuple,
    variant: Callable[[], str] = str,
) -> Engine:
    """An engine of this package; `typical_s` is for all qualities, or for each, draft first.

    None: it was not measured, so a runner's own experience is waited for.
    """
    module = f"gpu_runner.engines.{folder}.{kind}"
    each = typical_s if isinstance(typical_s, tuple) else (typical_s,) * len(Quality)
    return Engine(
        kind=kind,
        name=folder,
        version=version,
        title=title,
        lane=lane,
        module=module,
        params_module=module,
        presets=presets or {},
        typical_s={quality: one for quality, one in zip(Quality, each, strict=True) if one},
        checkpoints=checkpoints,
        spreads=spreads,
        light=light,
        weights=weights,
        qualities=qualities,
        lacking=lacking,
        variant=variant,
    )


# Seconds were measured on one core of an AMD EPYC, as a stage has when another runs beside it, with
# the sample input: six pictures, 12.8 s of clip, a script that takes 14.7 s to speak.
ENGINES: tuple[Engine, ...] = (
    _engine("local", "prepare_dataset", "Face crops and a clean clip", Lane.CPU, 5, version="5"),
    _engine(
        "mini",
        "train_lora",
        "LoRA on the built-in base",
        Lane.GPU,
        (30, 48, 145),
        presets=MINI_PRESETS,
        version="4",
        checkpoints=True,
        spreads=True,
        weights="mini",
    ),
    _engine(
        "world",
        "train_voice",
        "A matched voice: style search and WORLD conversion",
        Lane.CPU,
        (33, 33, 280),
        presets={
            Quality.DRAFT: {"effort": "draft"},
            Quality.STANDARD: {"effort": "draft"},
            Quality.BEST: {"effort": "best"},
        },
        version="2",
    ),
    _engine("template", "write_script", "A script by templates", Lane.CPU, 1, light=True),
    _engine(
        "openai",
        "write_script",
        "A script by a language model at the operator's endpoint",
        Lane.CPU,
        None,
        # What the user wrote goes to the endpoint, so only who names it gets it.
        qualities=(),
        lacking=lacking_writer,
    ),
    _engine("world", "synthesize_speech", "Speech in the matched voice", Lane.CPU, 16, version="4"),
    _engine(
        "mini",
        "generate_portrait",
        "A portrait by base and LoRA",
        Lane.GPU,
        17,
        version="2",
        weights="mini",
    ),
    *(
        engine
        for name, title in (("sd15", "Stable Diffusion 1.5"), ("sdxl", "Stable Diffusion XL"))
        for engine in (
            _engine(
                name,
                "train_lora",
                f"LoRA on {title}",
                Lane.GPU,
                None,
                presets=LARGE_PRESETS,
                version="2",
                checkpoints=True,
                spreads=True,
                weights=name,
            ),
            _engine(
                name,
                "generate_portrait",
                f"A portrait by {title} and LoRA",
                Lane.GPU,
                None,
                version="2",
                presets=LARGE_PORTRAIT_PRESETS,
                weights=name,
            ),
        )
    ),
    _engine(
        "lanczos",
        "upscale",
        "A larger picture by interpolation",
        Lane.CPU,
        1,
        qualities=(Quality.DRAFT,),
    ),
    _engine(
        "onnx",
        "upscale",
        "A larger picture by the operator's model",
        Lane.CPU,
        None,
        lacking=upscaler.lacking,
        variant=upscaler.variant,
    ),
    _engine("warp", "render_video", "A talking face by image warping", Lane.CPU, 10, version="3"),
    # Only by name: that its weights were pulled shall not change what everybody's videos look like.
    _engine(
        "i2v",
        "render_video",
        "A talking face in a moving scene",
        Lane.GPU,
        None,
        presets=SCENE_PRESETS,
        weights="i2v",
        qualities=(),
    ),
)
