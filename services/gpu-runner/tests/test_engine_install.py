"""Engines with environments of their own: made by pip from tiny wheels, found, mended, removed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from gpu_runner.faults import Fault, ToldError
from gpu_runner.plugins.found import engine_of, plugged_in
from gpu_runner.plugins.install import making
from gpu_runner.plugins.install.sources import Shelf, State, known, shelf_of, source
from plugin_support import run_plugin

from tests.support.environments import CHECK, Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def install(workshop: Workshop) -> list[str]:
    """Install the engine of a workshop; the steps that it tells."""
    steps: list[str] = []
    settings = workshop.settings
    wanted = source(str(workshop.root / "greeter"), settings)
    making.install(wanted, shelf_of(settings), settings, steps.append)
    return steps


def announced(workshop: Workshop) -> dict[str, bool]:
    """The plug-ins that a runner finds, and whether they can be used."""
    return {each.name: each.manifest().available for each in plugged_in(workshop.settings)}


def test_an_engine_is_installed_used_brought_up_to_date_and_removed(workshop: Workshop) -> None:
    wanted = workshop.write()
    shelf = shelf_of(workshop.settings)
    assert shelf.state(wanted) is State.ABSENT
    assert install(workshop) == [
        f"making an environment of Python {sys.version.split()[0]}",
        "PyTorch 1.2",
        "its libraries",
        "checking it",
    ]
    assert shelf.state(wanted) is State.INSTALLED
    assert announced(workshop) == {"greeter": True}
    folder = shelf.folder("greeter")
    assert run_plugin(folder, workshop.root / "run").metrics == {"words": "hello"}
    python = folder / ".venv" / "bin" / "python"
    said = subprocess.check_output([python, "-c", "import torch; print(torch.COMES_FROM)"])
    assert said == b"torch-index\n", "PyTorch comes from where TORCH_INDEX says"

    # Another program with the same libraries keeps the environment; another lock does not.
    program = wanted.root / "program.py"
    program.write_text(program.read_text().replace("greeting.WORDS", "greeting.WORDS.upper()"))
    assert shelf.state(wanted) is State.OUTDATED
    assert install(workshop) == ["its environment is there", "checking it"]
    assert run_plugin(folder, workshop.root / "again").metrics == {"words": "HELLO"}
    workshop.write(words="good day")
    assert "its libraries" in install(workshop)
    assert run_plugin(folder, workshop.root / "new").metrics == {"words": "good day"}

    assert making.remove("greeter", shelf) > 10_000
    assert announced(workshop) == {}
    assert not [each for each in shelf.root.iterdir() if each.is_dir()]
    with pytest.raises(ToldError, match="not installed") as refused:
        making.remove("greeter", shelf)
    assert refused.value.fault is Fault.ABSENT


def test_what_fails_its_own_check_is_no_engine_and_needs_no_second_download(
    workshop: Workshop,
) -> None:
    wanted = workshop.write(check="raise SystemExit('this machine has no ears')")
    with pytest.raises(ToldError, match="no ears"):
        install(workshop)
    assert announced(workshop) == {}
    assert shelf_of(workshop.settings).state(wanted) is State.PARTIAL
    workshop.write(check=CHECK)
    for each in (workshop.root / "wheels").iterdir():
        each.unlink()
    assert install(workshop) == ["its environment is there", "checking it"]
    assert announced(workshop) == {"greeter": True}


def test_a_library_that_is_not_the_one_of_the_lock_is_refused(workshop: Workshop) -> None:
    workshop.write()
    [library] = (workshop.root / "wheels").iterdir()
    with library.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ToldError, match="HASHES"):
        install(workshop)
    assert announced(workshop) == {}


def test_an_environment_that_was_ended_half_way_is_made_anew(workshop: Workshop) -> None:
    workshop.write()
    half = shelf_of(workshop.settings).partial("greeter") / ".venv" / "lib"
    half.mkdir(parents=True)
    (half / "torn").touch()
    install(workshop)
    assert not (shelf_of(workshop.settings).folder("greeter") / ".venv/lib/torn").exists()


def test_only_one_installs_an_engine_at_a_time(workshop: Workshop) -> None:
    workshop.write()
    shelf = shelf_of(workshop.settings)
    with making._alone("greeter", shelf), pytest.raises(ToldError, match="already") as refused:
        install(workshop)
    assert refused.value.fault is Fault.AWAY


def test_an_engine_that_somebody_made_by_hand_is_never_replaced(workshop: Workshop) -> None:
    workshop.write()
    own = shelf_of(workshop.settings).folder("greeter") / "notes.txt"
    own.parent.mkdir(parents=True)
    own.touch()
    for act in (lambda: install(workshop), lambda: making.remove("greeter", Shelf(own.parents[1]))):
        with pytest.raises(ToldError, match="by hand"):
            act()
    assert own.exists()


def test_without_its_environment_an_engine_says_the_command_that_makes_it(
    workshop: Workshop,
) -> None:
    wanted = workshop.write()
    [lacking] = engine_of(wanted.root).manifest().missing
    assert lacking.how_to_get.startswith("myspinbot engines install greeter")
    assert lacking.size_bytes == 2000


@pytest.mark.parametrize("name", ["..", "../elsewhere", "/", ""])
def test_only_what_is_among_the_engines_is_ever_removed(workshop: Workshop, name: str) -> None:
    workshop.write()
    shelf = Shelf(workshop.root / "shelf")
    shelf.root.mkdir()
    (workshop.root / "elsewhere").mkdir()
    (workshop.root / "elsewhere" / "environment.toml").touch()
    with pytest.raises(ToldError, match="not installed"):
        making.remove(name, shelf)
    assert (workshop.root / "elsewhere" / "environment.toml").exists()
    assert list(shelf.root.iterdir()) == []


def test_the_source_of_an_engine_gives_way_to_what_is_installed(workshop: Workshop) -> None:
    workshop.write()
    settings = {**workshop.settings, "MYSPINBOT_PLUGINS": str(workshop.root)}
    assert [each.manifest().available for each in plugged_in(settings)] == [False]
    install(workshop)
    [engine] = plugged_in(settings)
    assert (engine.name, engine.manifest().available) == ("greeter", True)
    assert "greeter" in known(settings)


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("environment.toml", "name = 'greeter'", "title"),
        ("plugin.toml", "protocol = 7", "protocol"),
        ("requirements.txt", None, "no requirements.txt"),
    ],
)
def test_nothing_is_downloaded_for_what_is_not_right(
    workshop: Workshop, file: str, text: str | None, reason: str
) -> None:
    wanted = workshop.write()
    path = wanted.root / file
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(ToldError, match=reason):
        install(workshop)
    assert not (shelf_of(workshop.settings).root / ".greeter.partial").exists()


def test_a_name_that_nobody_knows_is_answered_with_those_that_there_are(
    workshop: Workshop,
) -> None:
    workshop.write()
    settings = {**workshop.settings, "MYSPINBOT_PLUGINS": str(workshop.root)}
    with pytest.raises(ToldError, match="There are greeter") as refused:
        source("no_such", settings)
    assert refused.value.fault is Fault.ABSENT
