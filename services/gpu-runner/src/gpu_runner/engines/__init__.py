"""The engines: each folder holds one family, each module one stage kind.

This list is all that the runner knows of them.
"""

from __future__ import annotations

from contracts.commands import Lane
from contracts.events import Quality

from gpu_runner.catalogue import Engine


def _engine(folder: str, kind: str, title: str, lane: Lane, presets: dict | None = None) -> Engine:
    module = f"gpu_runner.engines.{folder}.{kind}"
    return Engine(
        kind=kind,
        name=folder,
        version="1",
        title=title,
        lane=lane,
        module=module,
        params_module=module,
        presets=presets or {},
    )


ENGINES: tuple[Engine, ...] = (
    _engine("local", "prepare_dataset", "Face crops and a clean clip", Lane.CPU),
    _engine(
        "mini",
        "train_lora",
        "LoRA on the built-in base",
        Lane.GPU,
        {
            Quality.DRAFT: {"steps": 60},
            Quality.STANDARD: {"steps": 100},
            Quality.BEST: {"steps": 300},
        },
    ),
    _engine(
        "world",
        "train_voice",
        "A matched voice: style search and WORLD conversion",
        Lane.CPU,
        {
            Quality.DRAFT: {"effort": "draft"},
            Quality.STANDARD: {"effort": "draft"},
            Quality.BEST: {"effort": "best"},
        },
    ),
    _engine("world", "synthesize_speech", "Speech in the matched voice", Lane.CPU),
    _engine("mini", "generate_portrait", "A portrait by base and LoRA", Lane.GPU),
    _engine("warp", "render_video", "A talking face by image warping", Lane.CPU),
)
