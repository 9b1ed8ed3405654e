"""Which plug-ins a runner finds, and what it announces of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from contracts.capabilities import EngineManifest
from contracts.events import Quality
from gpu_runner.engines import ENGINES
from gpu_runner.main import load_engines
from gpu_runner.plugins.found import engine_of, plugged_in
from gpu_runner.plugins.manifest import ManifestError, load
from plugin_support import AUDIOGRAM, write_plugin
from servicekit.settings import Environment

SIZED = """
presets.draft = { size = 2 }
[parameters.properties.size]
type = "integer"
maximum = 9
default = 4
"""


def announced(place: Path, home: Path) -> list[EngineManifest]:
    """The plug-ins of a folder as a runner announces them."""
    settings = {"MYSPINBOT_PLUGINS": f"{place}:{home / 'nowhere'}", "MYSPINBOT_HOME": str(home)}
    return [engine.manifest() for engine in load_engines(Environment(settings))[len(ENGINES) :]]


def test_plug_ins_are_found_in_the_folders_that_are_named_and_in_the_data_folder(
    tmp_path: Path,
) -> None:
    write_plugin(tmp_path / "many" / "one", "", SIZED, name="one")
    write_plugin(tmp_path / "home" / "engines" / "two", "", name="two")
    one, two = announced(tmp_path / "many", tmp_path / "home")
    assert (one.engine, two.engine) == ("one", "two")
    assert (one.kind, one.version, one.available, one.missing) == ("greet", "3", True, ())
    assert one.params_schema["properties"]["size"]["maximum"] == 9
    assert one.params_schema["additionalProperties"] is False
    assert one.presets == {Quality.DRAFT: {"size": 2}}
    assert one.qualities == (), "it must not take the place of another engine by being there"


def test_the_audiogram_is_announced_with_presets_and_times() -> None:
    told = engine_of(AUDIOGRAM).manifest()
    assert (told.kind, told.engine, told.available) == ("render_video", "audiogram", True)
    assert set(told.presets) == set(told.typical_s) == set(Quality)


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ("name = ", "is no TOML"),
        ("protocol = 2\nkind='greet'\nname='late'", "protocol"),
        ("protocol = 1\nkind='greet'\nname='late'\nshell='rm'", "shell"),
        ("protocol = 1\nkind='greet'\nname='Not a Name'", "name"),
    ],
)
def test_a_broken_manifest_is_announced_as_not_available_with_the_reason(
    tmp_path: Path, manifest: str, reason: str
) -> None:
    (tmp_path / "Odd one").mkdir()
    (tmp_path / "Odd one" / "plugin.toml").write_text(manifest)
    [told] = announced(tmp_path, tmp_path / "home")
    assert not told.available
    assert reason in told.missing[0].name
    assert str(tmp_path) not in told.model_dump_json(), "others need not know a machine's folders"
    assert told.engine in ("late", "odd_one")


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        (SIZED.replace("size = 2", "size = 10"), "preset draft"),
        (SIZED.replace("default = 4", "default = 'four'"), "defaults"),
        (SIZED.replace('"integer"', '"whole"'), "not valid at properties.size.type"),
        ("parameters = 'none.json'", "none.json cannot be read"),
        ("[parameters]\nadditionalProperties = true", "without further properties"),
        ("parameters.properties.x = { '$ref' = 'https://example.org/x' }", "another document"),
        ("parameters.properties.x = { default = 2026-01-01 }", "JSON cannot say"),
    ],
)
def test_parameters_that_could_never_be_right_break_the_manifest(
    tmp_path: Path, extra: str, reason: str
) -> None:
    folder = write_plugin(tmp_path / "one", "", extra)
    with pytest.raises(ManifestError, match=reason):
        load(folder)


def test_weights_that_are_not_there_are_told_and_found_once_they_are(tmp_path: Path) -> None:
    weights = """
[[weights]]
name = "Big"
size_bytes = 3000000000
licence = "OpenRAIL"
how_to_get = "fetch it"
files = ["big.bin"]
"""
    engine = engine_of(write_plugin(tmp_path / "one", "", weights))
    [lacking] = engine.manifest().missing
    assert (lacking.name, lacking.size_bytes, lacking.licence) == ("Big", 3_000_000_000, "OpenRAIL")
    (tmp_path / "one" / "big.bin").touch()
    assert engine.manifest().available


def test_a_program_that_is_not_there_is_told_with_what_makes_it(tmp_path: Path) -> None:
    folder = write_plugin(tmp_path / "one", "", 'setup = "run setup.sh"')
    text = (folder / "plugin.toml").read_text()
    (folder / "plugin.toml").write_text(text.replace("{python}", ".venv/bin/python"))
    [lacking] = engine_of(folder).manifest().missing
    assert ".venv/bin/python" in lacking.name
    assert lacking.how_to_get == "run setup.sh"


def test_an_engine_keeps_its_name_against_a_plug_in_that_wants_it_too(tmp_path: Path) -> None:
    write_plugin(tmp_path / "a", "", kind="render_video", name="warp")
    write_plugin(tmp_path / "b", "", kind="render_video", name="warp")
    settings = {"MYSPINBOT_PLUGINS": str(tmp_path), "MYSPINBOT_HOME": str(tmp_path / "home")}
    told = [engine.manifest() for engine in plugged_in(settings, ENGINES)]
    assert [(each.engine, each.available) for each in told] == [
        ("warp_2", False),
        ("warp_3", False),
    ]
    assert "another engine warp" in told[0].missing[0].name
