"""What this package announces that it can do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from contracts.events import Quality
from gpu_runner.catalogue import Engine
from gpu_runner.engines import ENGINES


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: f"{engine.kind}-{engine.name}")
def test_an_engine_tells_how_long_it_takes_and_takes_its_own_presets(engine: Engine) -> None:
    manifest = engine.manifest()
    if engine.weights in (None, "mini") and not engine.lacking():
        draft, standard, best = (manifest.typical_s[quality] for quality in Quality)
        assert 0 < draft <= standard <= best
    else:
        # Nobody has measured it, so nothing is claimed.
        assert not manifest.typical_s
    for preset in manifest.presets.values():
        engine.params().model_validate(preset)


def test_an_engine_without_its_weights_says_what_they_are_and_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYSPINBOT_MODELS", str(tmp_path))
    told = replace(ENGINES[0], weights="sd15").manifest()
    [lacking] = told.missing
    assert (told.available, lacking.licence) == (False, "CreativeML OpenRAIL-M")
    assert (lacking.size_bytes > 1e9, lacking.how_to_get) == (True, "myspinbot models pull sd15")
    for engine in (ENGINES[0], replace(ENGINES[0], weights="mini")):
        assert (engine.manifest().available, engine.manifest().missing) == (True, ())
