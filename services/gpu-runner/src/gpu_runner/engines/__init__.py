"""The engines: each folder holds one family, each module one stage kind.

This list is all that the runner knows of them.
"""

from __future__ import annotations

from contracts.commands import Lane
from contracts.events import Quality

from gpu_runner.catalogue import Engine
from gpu_runner.engines.diffusion.config import MINI_PRESETS, Presets


def _engine(
    folder: str,
    kind: str,
    title: str,
    lane: Lane,
    typical_s: float | tuple[float, float, float],
    *,
    presets: Presets | None = None,
    version: str = "1",
    checkpoints: bool = False,
    spreads: bool = False,
) -> Engine:
    """An engine of this package; `typical_s` is for all qualities, or for each, draft first."""
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
        typical_s=dict(zip(Quality, each, strict=True)),
        checkpoints=checkpoints,
        spreads=spreads,
    )


# Seconds were measured on one core of an AMD EPYC, as a stage has when another runs beside it, with
# the sample input: six pictures, 12.8 s of clip, a script that takes 14.7 s to speak.
ENGINES: tuple[Engine, ...] = (
    _engine("local", "prepare_dataset", "Face crops and a clean clip", Lane.CPU, 4, version="2"),
    _engine(
        "mini",
        "train_lora",
        "LoRA on the built-in base",
        Lane.GPU,
        (26, 33, 71),
        presets=MINI_PRESETS,
        version="2",
        checkpoints=True,
        spreads=True,
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
    ),
    _engine("world", "synthesize_speech", "Speech in the matched voice", Lane.CPU, 16, version="2"),
    _engine("mini", "generate_portrait", "A portrait by base and LoRA", Lane.GPU, 17),
    _engine("warp", "render_video", "A talking face by image warping", Lane.CPU, 10),
)
