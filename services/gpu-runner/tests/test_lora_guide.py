"""The guide to training says what the parameters say, and its code runs."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from gpu_runner.engines.diffusion import lora
from gpu_runner.engines.diffusion.components import load_components
from gpu_runner.engines.mini.base import BASE
from PIL import Image
from pydantic import Field

GENERATE = Path(__file__).parents[1] / "generate.py"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lora_guide_generate", GENERATE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_its_tables_are_those_of_the_parameters(generate: ModuleType) -> None:
    guide = generate.FILE.read_text()
    assert generate.written(guide) == guide, "run `make schemas`"
    for name in ("rank", "trigger_word", "half_vae"):
        assert f"| `{name}` |" in guide
    assert "bfloat16" not in guide


def test_a_table_that_has_no_place_is_missed(generate: ModuleType) -> None:
    with pytest.raises(ValueError, match="parameters"):
        generate.written("A guide without tables.")


def test_a_changed_default_changes_its_row(
    generate: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Changed(generate.Params):  # type: ignore[name-defined,misc]
        rank: int = Field(default=77, ge=1, le=128, description="Rank of the adapter's matrices.")

    monkeypatch.setitem(generate.CONFIGS, "mini", Changed)
    before = generate.FILE.read_text()
    assert set(generate.written(before).splitlines()) - set(before.splitlines()) == {
        row for row in generate.parameters() if "77" in row
    }


def test_its_code_draws_by_the_shipped_base(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    components = load_components(BASE, "cpu")
    lora.attach(components.unet, rank=2, alpha=2, seed=1)
    lora.collect(components.unet).write(tmp_path / "lora.safetensors")
    (tmp_path / "base").symlink_to(BASE)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", generate.FILE.read_text(), re.DOTALL)
    drawn: dict[str, object] = {}
    exec(compile(code, "lora.md", "exec"), drawn)  # noqa: S102 - our own guide
    assert drawn["pipeline"].get_active_adapters()  # type: ignore[attr-defined]
    with Image.open("sks.png") as picture:
        assert picture.size == (64, 64)
