"""What differs between the bases that engines train and sample; all else is the same code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_runner.engines.diffusion.components import Components
from gpu_runner.engines.diffusion.files.header import Family
from gpu_runner.engines.diffusion.files.kohya import Naming
from gpu_runner.engines.diffusion.sampling import SamplingConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """One kind of base, by the name of its engine.

    `prompt` calls the person by a trigger word and adds what is wished; `zooms` are how near each
    photo is learned.
    `sampling` is for the pictures before and after, `preview` for those in between. `load` takes
    a base's place, a device and the parameters of the stage. Of a `small` base the single
    operations are too short to be worth sharing between threads.
    """

    name: str
    family: Family
    naming: Naming
    prompt: Callable[[str, str], str]
    zooms: tuple[float, ...]
    sampling: SamplingConfig
    preview: SamplingConfig
    load: Callable[[Path, str, Any], Components]
    small: bool = False
