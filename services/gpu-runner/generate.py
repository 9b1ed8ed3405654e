"""Writes the tables of `docs/lora.md` from the parameters themselves, or checks them.

`python services/gpu-runner/generate.py` writes what stands between the marks of each table; with
`--check` it changes nothing and ends with status 1 when a table is out of date.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from contracts.events import Quality
from gpu_runner.engines.diffusion.config import (
    LARGE_PRESETS,
    MINI_PRESETS,
    Sd15Config,
    SdxlConfig,
)
from gpu_runner.engines.mini.train_lora import Params

FILE = Path(__file__).parents[2] / "docs" / "lora.md"
CONFIGS = {"mini": Params, "sd15": Sd15Config, "sdxl": SdxlConfig}
PRESETS = {"mini": MINI_PRESETS, "sd15, sdxl": LARGE_PRESETS}


def parameters() -> Iterator[str]:
    """One row for each parameter: its defaults by engine, its bounds and its meaning."""
    yield f"| parameter | {' | '.join(CONFIGS)} | may be | |"
    yield "|---" * (len(CONFIGS) + 3) + "|"
    schemas = {engine: config.model_json_schema() for engine, config in CONFIGS.items()}
    fields = {name for schema in schemas.values() for name in schema["properties"]}
    order = [name for schema in schemas.values() for name in schema["properties"]]
    for name in sorted(fields, key=order.index):
        found = {engine: schema["properties"].get(name) for engine, schema in schemas.items()}
        about = next(schema for schema in found.values() if schema)
        if about.get("deprecated"):
            continue
        told = [_said(schema["default"]) if schema else "" for schema in found.values()]
        told += [_range(about, next(iter(schemas.values()))["$defs"]), about["description"]]
        yield f"| `{name}` | {' | '.join(told)} |"


def presets() -> Iterator[str]:
    """One row for each quality: what it sets."""
    yield f"| quality | {' | '.join(PRESETS)} |"
    yield "|---" * (len(PRESETS) + 1) + "|"
    for quality in Quality:
        chosen = [
            ", ".join(f"`{name}` {_said(value)}" for name, value in preset[quality].items())
            for preset in PRESETS.values()
        ]
        yield f"| `{quality}` | {' | '.join(chosen)} |"


TABLES = {"parameters": parameters, "presets": presets}


def written(text: str) -> str:
    """`text` with each table as it should be."""
    for name, table in TABLES.items():
        mark = f"<!-- {name} -->"
        whole = re.compile(f"{mark}.*{mark}", re.DOTALL)
        if not whole.search(text):
            raise ValueError(f"{FILE} has no place for the table {name!r}: two lines {mark}")
        made = "\n".join((mark, "", *table(), "", mark))
        text = whole.sub(lambda _, made=made: made, text)
    return text


def _said(value: Any) -> str:
    match value:
        case None:
            return "auto"
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)


def _range(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    shapes = [schema, *schema.get("anyOf", ())]
    known = {key: value for shape in reversed(shapes) for key, value in shape.items()}
    if "$ref" in known:
        return ", ".join(definitions[known["$ref"].rpartition("/")[2]]["enum"])
    if known["type"] == "boolean":
        return "yes, no"
    if "pattern" in known:
        return "letters, digits, `_`, `-`; at most 32"
    above, below = "exclusiveMinimum" in known, "exclusiveMaximum" in known
    low = known["exclusiveMinimum" if above else "minimum"]
    high = known["exclusiveMaximum" if below else "maximum"]
    return f"{'above ' * above}{low:g} to {'below ' * below}{high:g}"


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    now = FILE.read_text()
    if (made := written(now)) == now:
        return 0
    if check:
        sys.stderr.write(f"{FILE} is out of date: run `make schemas`\n")
        return 1
    FILE.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
