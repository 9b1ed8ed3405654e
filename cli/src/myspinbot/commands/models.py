"""`myspinbot models`, `runners` and `stats`: what the system can do, and with which weights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from myspinbot.client.replies import Engine, Runner, Stats
from myspinbot.commands import weights
from myspinbot.commands.options import Session, add, connected, examples, group
from myspinbot.errors import NOT_FOUND, CommandError
from myspinbot.progress import TITLES, duration
from myspinbot.screen import hint, out, size, table

app = group("Engines of the system, and the weights that they need.", otherwise="engines")


@app.callback()
def _models() -> None:
    """Engines of the system, and the weights that they need.

    Without one of these words it lists the engines: `myspinbot models train_lora` is the same as
    `myspinbot models engines train_lora`.
    """


@examples(
    "myspinbot models",
    "myspinbot models engines",
    "myspinbot models train_lora",
    "myspinbot models --json | jq '.kinds.train_lora[0].paramsSchema'",
)
@connected
async def engines(
    session: Session,
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND",
            help="Only this kind of stage, with its parameters.",
            show_default=False,
            autocompletion=lambda: list(TITLES),
        ),
    ] = None,
) -> None:
    """List the engines, which weights they lack and how to get them, and their parameters."""
    found = await session.client.capabilities()
    if kind is not None and kind not in found.kinds:
        raise CommandError(
            f"No runner does {kind}.",
            f"There are {', '.join(sorted(found.kinds)) or 'no runners'}.",
            NOT_FOUND,
        )
    kinds = {name: each for name, each in found.kinds.items() if kind in (None, name)}

    def text() -> None:
        listed = [engine for each in kinds.values() for engine in each]
        table(("kind", "engine", "works", "takes", "what it is"), map(_engine_cells, listed))
        if not listed:
            hint("No runner lives now. `myspinbot doctor` looks into it.")
        _tell_bases(listed)
        for engine in listed:
            _tell_missing(engine)
            if kind is not None:
                _tell_parameters(engine)

    session.show({"kinds": kinds} if kind else found, text)


add(app, "engines", engines)
add(app, "list", weights.list_)
add(app, "pull", weights.pull)
add(app, "verify", weights.verify)
add(app, "path", weights.path)


@examples("myspinbot runners")
@connected
async def runners(session: Session) -> None:
    """List the runners that live, with their devices and engines."""
    found = await session.client.runners()

    def text() -> None:
        table(("runner", "works on", "devices", "engines"), map(_runner_cells, found))
        if not found:
            hint("No runner lives now. `myspinbot doctor` looks into it.")

    session.show({"runners": found}, text)


@examples("myspinbot stats")
@connected
async def stats(session: Session) -> None:
    """Show how many jobs there are, what they take up, and how long stages take."""
    found = await session.client.stats()
    session.show(found, lambda: _tell_stats(found))


def _engine_cells(engine: Engine) -> tuple[str, ...]:
    typical = (f"{duration(s)} {quality}" for quality, s in engine.typical_s.items())
    works = "yes" if engine.available else "lacks weights"
    return engine.kind, f"{engine.engine} {engine.version}", works, ", ".join(typical), engine.title


def _tell_missing(engine: Engine) -> None:
    for lacking in engine.missing:
        out.print(
            f"\n{engine.kind}/{engine.engine} lacks {lacking.name} "
            f"({size(lacking.size_bytes)}, licence {lacking.licence}):\n  {lacking.how_to_get}",
            markup=False,
        )


def _tell_bases(engines: Iterable[Engine]) -> None:
    """On what each works, and under whose terms; once for all its stages."""
    bases = {engine.engine: engine.base for engine in engines if engine.base is not None}
    for name, base in bases.items():
        out.print(
            f"\n{name} starts from: {base.title} ({size(base.size_bytes)}, licence {base.licence})",
            markup=False,
        )


def _tell_parameters(engine: Engine) -> None:
    properties: Mapping[str, Mapping[str, Any]] = engine.params_schema.get("properties", {})
    if not properties:
        return
    out.print(f"\nParameters of {engine.engine}, as --param {engine.kind}.NAME=VALUE:")
    rows = (
        (f"  {name}", _range(schema), _default(schema), _words(schema))
        for name, schema in properties.items()
    )
    table(("  name", "value", "default", "what it does"), rows)


def _range(schema: Mapping[str, Any]) -> str:
    """The values that a parameter takes: `1…128`, `calm | lively`, or a type; `…?` may be none."""
    if "anyOf" in schema:
        kinds = [each for each in schema["anyOf"] if each.get("type") != "null"]
        optional = "?" if len(kinds) < len(schema["anyOf"]) else ""
        return " | ".join(_range(kind) for kind in kinds) + optional
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is None and high is None:
        return str(schema.get("type", ""))
    return f"{'' if low is None else low}…{'' if high is None else high}"


def _default(schema: Mapping[str, Any]) -> str:
    default = schema.get("default")
    return "" if default is None else json.dumps(default)


def _words(schema: Mapping[str, Any]) -> str:
    return str(schema.get("description") or schema.get("title") or "")


def _runner_cells(runner: Runner) -> tuple[str, ...]:
    devices = (
        f"{device.name} ({device.title}, {size(device.memory_bytes)})" for device in runner.devices
    )
    able = [f"{each.kind}/{each.engine}" for each in runner.engines if each.available]
    return runner.runner_id, str(runner.busy), ", ".join(devices), ", ".join(able)


def _tell_stats(stats: Stats) -> None:
    jobs = ", ".join(f"{count} {status}" for status, count in stats.jobs.items() if count)
    out.print(f"jobs:    {jobs or 'none'}", markup=False)
    queue = ", ".join(f"{count} {what}" for what, count in stats.queue.items())
    out.print(f"queue:   {queue}", markup=False)
    stored = stats.usage.get("storedBytes") or 0
    quota = stats.usage.get("quotaBytes")
    of = f" of {size(quota)}" if quota else ""
    out.print(f"storage: {size(stored)}{of} in {stats.usage.get('objects') or 0} objects")
    if stats.stages:
        out.print()
        rows = (
            (s.kind, s.engine, s.quality, str(s.count), duration(s.median_s), duration(s.longest_s))
            for s in stats.stages
        )
        table(("stage", "engine", "quality", "times", "median", "longest"), rows)
