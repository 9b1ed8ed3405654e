"""Freezes the shapes of the events when they are released, and finds what would break them.

`python contracts/release.py` adds to `released/` what this release is the first to have, and
changes nothing that is there: an event that was released stands in logs for ever, and must be
read by every later program. `--check` only says what is not as it was released.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.events import EVENTS, Event
from contracts.upcasting import newest

ROOT = Path(__file__).parent
RELEASED = ROOT / "released"
_RELEASES = "releases.json"
_WORDS = ("title", "description", "examples")
_NAMED = ("properties", "$defs", "patternProperties")
_LITERAL = ("default", "const", "enum", "required")

_WAY_OUT = """\
Logs hold events of the old shape for ever, and older programs read the new ones. So:
  1. in contracts/events.py, change its version to Literal[{next}] = {next}
  2. in contracts/upcasting.py, add the step ("{name}", {version}) to UPCASTERS:
     a function from the JSON of version {version} to that of version {next}
  3. leave contracts/released/{name}.v{version}.json as it is. `make schemas` writes what is
     published, and `make release-schemas` freezes version {next} when it is released
  4. add a recorded history with a {name} of version {next} to tests/histories;
     never edit those that are there
docs/events.md, "Adding a version", goes through it with an example"""

Shape = dict[str, Any]
Version = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Released:
    """Every version of an event that was ever released: its shape, and in which release it came."""

    shapes: Mapping[Version, Shape]
    since: Mapping[Version, str]

    @staticmethod
    def read(folder: Path = RELEASED) -> Released:
        """What the folder holds; KeyError if a version that it lists has lost its shape."""
        listed = json.loads((folder / _RELEASES).read_text(encoding="utf-8"))
        since = {_version(name): release for release, names in listed.items() for name in names}
        shapes = {
            _version(path.stem): json.loads(path.read_text(encoding="utf-8"))
            for path in folder.glob("*.v*.json")
        }
        if lost := sorted(set(since) - set(shapes)):
            raise KeyError(
                f"the shape of {_words(lost)} is gone from contracts/released: put it back, as "
                "logs hold events of it for ever"
            )
        return Released(shapes, since)


def shape(model: type[Event]) -> Shape:
    """What an event of this model must look like: its JSON Schema without any words."""
    return dict(_bare(model.model_json_schema(by_alias=True)))


def _bare(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_bare(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept: Shape = {}
    for name, value in schema.items():
        if name in _NAMED:
            kept[name] = {inner: _bare(item) for inner, item in value.items()}
        elif name in _LITERAL:
            kept[name] = sorted(value) if name == "required" else value
        elif name not in _WORDS:
            kept[name] = _bare(value)
    return kept


def breaks(released: Released, models: Mapping[str, type[Event]]) -> Iterator[str]:
    """What of today's events is not as it was released, each with what to do about it."""
    for (name, version), then in sorted(released.shapes.items()):
        model = models.get(name)
        if model is None:
            yield (
                f"{name} was released and is gone. Logs hold such events for ever: put the model "
                "back into contracts/events.py, if only for reading"
            )
        elif newest(model) < version:
            yield (
                f"{name} was released with version {version} and is at {newest(model)} now. "
                f"Versions only grow: make it version {version + 1}"
            )
        elif newest(model) == version and (now := shape(model)) != then:
            yield _changed(name, version, list(_differences(then, now)))
    for name, model in sorted(models.items()):
        older = {version for other, version in released.shapes if other == name}
        missing = set(range(1, newest(model))) - older
        if missing:
            yield (
                f"{name} is at version {newest(model)}, but version {min(missing)} was never "
                "released. Number it on from the last one that was"
            )


def _changed(name: str, version: int, where: list[str]) -> str:
    told = [
        f"{name} is not what was released as its version {version}. It differs at:",
        *(f"    {place}" for place in where[:10]),
        _WAY_OUT.format(name=name, version=version, next=version + 1),
    ]
    return "\n".join(told)


def _differences(then: Any, now: Any, place: str = "$") -> Iterator[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        for name in dict.fromkeys((*then, *now)):
            inner = f"{place}.{name}"
            if name not in now:
                yield f"{inner} is gone"
            elif name not in then:
                yield f"{inner} is new"
            else:
                yield from _differences(then[name], now[name], inner)
    elif then != now:
        yield f"{place} was {json.dumps(then)} and is {json.dumps(now)}"


def freeze(release: str, folder: Path = RELEASED) -> list[str]:
    """Write the shapes that this release is the first to have; the names of what was added."""
    folder.mkdir(exist_ok=True)
    listing = folder / _RELEASES
    listed = json.loads(listing.read_text(encoding="utf-8")) if listing.exists() else {}
    known = {name for names in listed.values() for name in names}
    added = []
    for name, model in sorted(EVENTS.items()):
        version = f"{name}.v{newest(model)}"
        if version in known:
            continue
        _write(folder / f"{version}.json", shape(model))
        added.append(version)
    if added:
        listed[release] = sorted([*listed.get(release, ()), *added])
        _write(listing, listed)
    return added


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _version(stem: str) -> Version:
    name, _, version = stem.rpartition(".v")
    return name, int(version)


def _words(versions: list[Version]) -> str:
    return ", ".join(f"{name} version {version}" for name, version in versions)


def main() -> int:
    """Freeze or check; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, only compare")
    if not parser.parse_args().check:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        for version in freeze(project["project"]["version"]):
            sys.stdout.write(f"released/{version}.json\n")
    found = list(breaks(Released.read(), EVENTS))
    for problem in found:
        sys.stderr.write(f"{problem}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
