"""Makes the environment of an engine and puts the engine in its place, which it gets when whole.

PyTorch comes first and unlocked, as each machine needs a build of its own; the lock then sets the
versions of what it brought along. That is how the project itself is installed (see Makefile).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from gpu_runner.faults import Fault, ToldError
from gpu_runner.grown import HeldError, held, put_in_place, take_away
from gpu_runner.orphan import die_with_parent
from gpu_runner.plugins import environment, manifest
from gpu_runner.plugins.environment import Environment
from gpu_runner.plugins.install.sources import NOT_COPIED, Shelf
from gpu_runner.plugins.table import ManifestError

INDEX_SETTING = "TORCH_INDEX"
_CHECK_WITHIN_S = 300.0
_TOLD_LINES = 3
# Of these the last would keep the check from leaving compiled what every stage will import.
_KEPT_BACK = (
    "PYTHONPATH",
    "PYTHONHOME",
    "MYSPINBOT_",
    "PIP_USER",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PYTHONDONTWRITEBYTECODE",
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes to download and on the disk, about."""

    download: int
    disk: int


# PyTorch 2.13 on Linux, as a CPU build and with CUDA.
_TORCH = {"cpu": Sizes(200_000_000, 800_000_000), "cuda": Sizes(3_000_000_000, 7_000_000_000)}


def sizes(wanted: Environment) -> dict[str, Sizes]:
    """What an installation takes by the build of PyTorch; `any` where there is none of it."""
    own = Sizes(wanted.contents.download_bytes, wanted.contents.disk_bytes)
    if wanted.contents.torch is None:
        return {"any": own}
    return {
        build: Sizes(own.download + torch.download, own.disk + torch.disk)
        for build, torch in _TORCH.items()
    }


def install(
    wanted: Environment, shelf: Shelf, settings: Mapping[str, str], told: Callable[[str], None]
) -> Path:
    """Have an engine with its environment in its folder, which is returned.

    What is ended half-way is not found as an engine. The next try makes the environment anew, of
    what pip has kept of its downloads; an environment that was whole is kept if nothing that it is
    made of has changed. `told` hears of each step.

    Raises:
        ToldError: the engine is not right, somebody else installs it, there is no room, pip
            fails, or the engine fails its own check.

    """
    name = wanted.contents.name
    with _alone(name, shelf):
        _check_source(wanted)
        folder, partial = shelf.folder(name), shelf.partial(name)
        _refuse_made_by_hand(folder)
        grown = _copied(wanted, partial)
        _take_over(folder, grown)
        if grown.made:
            told("its environment is there")
        else:
            _check_room(wanted, shelf)
            _make(grown, settings, told)
        told("checking it")
        _run_check(grown, settings)
        put_in_place(partial, folder)
    return folder


def remove(name: str, shelf: Shelf) -> int:
    """Take an engine away, whole or not; how many bytes that freed. ToldError if there is none."""
    # Of what is there, so that a name with a path in it means nothing.
    there = list(shelf.root.iterdir()) if shelf.root.is_dir() else []
    found = [each for each in (shelf.folder(name), shelf.partial(name)) if each in there]
    if not found:
        raise ToldError(
            f"the engine {name} is not installed", "`myspinbot engines list`", Fault.ABSENT
        )
    with _alone(name, shelf):
        _refuse_made_by_hand(shelf.folder(name))
        freed = sum(map(_size_of, found))
        for each in found:
            take_away(each)
    return freed


def _refuse_made_by_hand(folder: Path) -> None:
    if folder.exists() and not (folder / environment.FILE).exists():
        raise ToldError(
            f"{folder} was not installed, but put there by hand",
            "Move it away: nothing that was not installed is replaced or removed",
        )


@contextlib.contextmanager
def _alone(name: str, shelf: Shelf) -> Iterator[None]:
    with contextlib.ExitStack() as holding:
        try:
            holding.enter_context(held(shelf.lock(name)))
        except HeldError as error:
            raise ToldError(
                f"the engine {name} is being installed or removed already{error.by_whom}",
                "Wait until it has ended",
                Fault.AWAY,
            ) from error
        except OSError as error:
            raise ToldError(
                f"the folder of engines {shelf.root} cannot be used: {error.strerror}",
                "Choose another data folder with --home or MYSPINBOT_HOME",
            ) from error
        yield


def _check_source(wanted: Environment) -> None:
    """Nothing is downloaded for a plug-in that could not be used."""
    try:
        wanted.check()
        for each in wanted.plugins():
            manifest.load(each)
    except ManifestError as error:
        raise ToldError(
            f"the engine {wanted.contents.name} is not right: {error}", "Mend it"
        ) from error


def _check_room(wanted: Environment, shelf: Shelf) -> None:
    least = min(each.disk for each in sizes(wanted).values())
    if (free := shutil.disk_usage(shelf.root).free) < least:
        raise ToldError(
            f"{shelf.root} has {free / 1e9:.1f} GB free, {wanted.contents.name} takes about "
            f"{least / 1e9:.1f} GB",
            "Free some, or choose another data folder with --home",
        )


def _copied(wanted: Environment, partial: Path) -> Environment:
    """The engine's files as they are now, beside an environment that is perhaps there."""
    partial.mkdir(exist_ok=True)
    for each in partial.iterdir():
        if each.name != environment.FOLDER:
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    shutil.copytree(
        wanted.root, partial, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*NOT_COPIED)
    )
    return environment.at(partial)


def _take_over(folder: Path, grown: Environment) -> None:
    """Use the environment of what is installed, if it is made of the same and none is here."""
    if grown.made or not folder.exists():
        return
    with contextlib.suppress(ManifestError):
        old = environment.at(folder)
        if old.made and old.recipe == grown.recipe:
            shutil.rmtree(grown.folder, ignore_errors=True)
            old.folder.replace(grown.folder)


def _make(grown: Environment, settings: Mapping[str, str], told: Callable[[str], None]) -> None:
    # What an installation left that was ended half-way may look whole to pip.
    shutil.rmtree(grown.folder, ignore_errors=True)
    told(f"making an environment of Python {sys.version.split()[0]}")
    # Our own pip can serve it; to put one into it takes longer than many an installation.
    venv.create(grown.folder, with_pip=find_spec("pip") is None, symlinks=True)
    if torch := grown.contents.torch:
        told(f"PyTorch {torch}")
        index = settings.get(INDEX_SETTING)
        where = ("--index-url", index) if index else ()
        _pip(grown, settings, *where, f"torch=={torch}")
    told("its libraries")
    _pip(grown, settings, "--no-deps", "--require-hashes", "-r", str(grown.requirements))
    grown.note_made()


def _pip(grown: Environment, settings: Mapping[str, str], *words: str) -> None:
    ours = find_spec("pip") is not None
    interpreter = sys.executable if ours else str(grown.interpreter)
    place = ("--python", str(grown.interpreter)) if ours else ()
    pip = (interpreter, "-m", "pip", "--disable-pip-version-check", *place)
    ended = _run((*pip, "install", "--quiet", "--no-compile", *words), grown.root, settings)
    if ended.returncode:
        raise ToldError(
            f"pip ended with status {ended.returncode}: {_last_words(ended)}",
            "Look at network and proxy, then install again: what came is kept in pip's cache",
        )


def _run_check(grown: Environment, settings: Mapping[str, str]) -> None:
    words = (str(grown.interpreter), *grown.contents.check)
    remedy = "Tell its author; until then the engine is not used"
    try:
        ended = _run(words, grown.root, settings, within_s=_CHECK_WITHIN_S)
    except subprocess.TimeoutExpired as error:
        raise ToldError("its own check did not end", remedy) from error
    if ended.returncode:
        raise ToldError(f"it fails its own check: {_last_words(ended)}", remedy)


def _run(
    words: Sequence[str],
    folder: Path,
    settings: Mapping[str, str],
    within_s: float | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - whoever installs an engine trusts it
        words,
        cwd=folder,
        env={name: value for name, value in settings.items() if not name.startswith(_KEPT_BACK)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=within_s,
        check=False,
        preexec_fn=die_with_parent,
    )


def _last_words(ended: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
    complaints = [line for line in lines if line.startswith("ERROR")] or lines
    return " / ".join(complaints[-_TOLD_LINES:]) or "it says no more"


def _size_of(folder: Path) -> int:
    return sum(
        file.lstat().st_size
        for place, _, names in os.walk(folder)
        for file in (Path(place, name) for name in names)
    )
