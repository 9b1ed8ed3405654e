"""What this package announces that it can do."""

from __future__ import annotations

import pytest
from contracts.events import Quality
from gpu_runner.catalogue import Engine
from gpu_runner.engines import ENGINES


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: f"{engine.kind}-{engine.name}")
def test_an_engine_tells_how_long_it_takes_and_takes_its_own_presets(engine: Engine) -> None:
    manifest = engine.manifest()
    assert all(manifest.typical_s[quality] > 0 for quality in Quality)
    draft, standard, best = (manifest.typical_s[quality] for quality in Quality)
    assert draft <= standard <= best
    for preset in manifest.presets.values():
        engine.params().model_validate(preset)
