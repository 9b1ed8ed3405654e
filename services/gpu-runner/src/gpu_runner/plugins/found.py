"""Which plug-ins a runner has: those in `MYSPINBOT_PLUGINS` and in its data folder's `engines/`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog
from contracts.base import Name
from contracts.commands import Lane
from pydantic import TypeAdapter, ValidationError

from gpu_runner.catalogue import Engine
from gpu_runner.plugins import environment, manifest
from gpu_runner.plugins.manifest import ManifestError, Plugin

log = structlog.get_logger(__name__)

SETTING = "MYSPINBOT_PLUGINS"
HOST = "gpu_runner.plugins.host"
UNKNOWN_KIND = "unknown"
"""What a plug-in is announced for if its manifest cannot even tell that."""
_LONGEST_NAME = 48
_NAME: TypeAdapter[str] = TypeAdapter(Name)


def engines_folder(settings: Mapping[str, str]) -> Path:
    """Where plug-ins of the local system are: `engines` below its data folder."""
    data = Path(settings.get("XDG_DATA_HOME") or "~/.local/share") / "myspinbot"
    return (Path(settings.get("MYSPINBOT_HOME") or data) / "engines").expanduser().absolute()


def folders(settings: Mapping[str, str]) -> list[Path]:
    """The folders of all plug-ins, in the order in which they are preferred."""
    named = [Path(each).expanduser() for each in settings.get(SETTING, "").split(os.pathsep)]
    places = [place for place in named if place != Path()]
    for place in places:
        if not place.is_dir():
            log.warning("plugins.no_such_folder", folder=str(place))
    installed = engines_folder(settings)
    found = [each for place in (*places, installed) for each in _within(place, installed)]
    return list(dict.fromkeys(each.resolve() for each in found))


def plugged_in(settings: Mapping[str, str], others: Iterable[Engine] = ()) -> Iterator[Engine]:
    """Every plug-in as an engine, also those that cannot be used: they say why.

    `others` are the engines that are there without them, and keep their names.
    """
    taken = {(engine.kind, engine.name) for engine in others}
    for folder in folders(settings):
        engine = engine_of(folder)
        if (engine.kind, engine.name) in taken:
            reason = f"there is another engine {engine.name} for {engine.kind}"
            spare = next(
                name
                for number in range(2, len(taken) + 3)
                if (engine.kind, name := f"{engine.name[: _LONGEST_NAME - 4]}_{number}")
                not in taken
            )
            engine = _broken(folder, reason, {"kind": engine.kind, "name": spare})
        taken.add((engine.kind, engine.name))
        yield engine


def engine_of(folder: Path) -> Engine:
    """The engine that the plug-in of a folder is, if only one that says why it cannot be used."""
    try:
        return _engine(manifest.load(folder))
    except ManifestError as error:
        try:
            table = manifest.read_table(folder)
        except ManifestError:
            table = {}
        return _broken(folder, str(error), table)


def _engine(plugin: Plugin) -> Engine:
    told = plugin.manifest
    return Engine(
        kind=told.kind,
        name=told.name,
        version=told.version,
        title=told.title,
        lane=told.lane,
        module=HOST,
        params_module=HOST,
        presets=told.presets,
        typical_s=told.typical_s,
        qualities=told.qualities,
        checkpoints=told.checkpoints,
        weights=told.model,
        plugin=plugin.folder,
        schema=plugin.schema,
        lacking=plugin.lacking,
    )


def _broken(folder: Path, reason: str, table: Mapping[str, Any]) -> Engine:
    log.warning("plugins.unusable", folder=str(folder), reason=reason)
    lacks = manifest.unusable(reason, "unknown", "mend the plug-in, then restart the runner")
    own = re.sub(r"[^a-z0-9_]", "_", folder.name.lower()).lstrip("_0123456789") or "plugin"
    return Engine(
        kind=_name(table.get("kind")) or UNKNOWN_KIND,
        name=_name(table.get("name")) or own[:_LONGEST_NAME],
        version="0",
        title="A plug-in that cannot be used",
        lane=Lane.CPU,
        module=HOST,
        params_module=HOST,
        qualities=(),
        plugin=folder,
        schema={"type": "object", "properties": {}, "additionalProperties": False},
        lacking=lambda: (lacks,),
    )


def _name(given: Any) -> str | None:
    try:
        return _NAME.validate_python(given, strict=True)
    except ValidationError:
        return None


def _within(place: Path, installed: Path) -> Iterator[Path]:
    """A place's own plug-ins, or those of the folders in it.

    Where an environment was installed with its plug-ins, these serve instead of their source.
    """
    if not place.is_dir():
        return
    own = list(environment.plugins_in(place))
    if own:
        yield from own
        return
    for each in sorted(place.iterdir()):
        hidden = each.name.startswith(".")
        source = place != installed and (each / environment.FILE).exists()
        if not hidden and not (source and (installed / each.name).exists()):
            yield from environment.plugins_in(each)
