"""`myspinbot pipelines`: graphs of stages, built in and of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from myspinbot.client.replies import Pipeline
from myspinbot.commands.options import Session, add, connected, examples, group
from myspinbot.commands.steer import YesOption, confirm
from myspinbot.errors import MISUSED, CommandError
from myspinbot.inputs import readable
from myspinbot.screen import document, hint, plain, table

app = group("Graphs of stages that jobs run: those that are built in, and your own.")
PipelineArgument = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="The pipeline's id.", show_default=False)
]


@examples("myspinbot pipelines list")
@connected
async def list_pipelines(session: Session) -> None:
    """List the pipelines, with what they need."""
    found = await session.client.pipelines.list()
    headings = ("pipeline", "name", "built in", "needs", "may have", "stages")
    session.show({"pipelines": found}, lambda: table(headings, map(_cells, found)))


@examples(
    "myspinbot pipelines show generate",
    "myspinbot pipelines show generate --graph > mine.json",
    "myspinbot pipelines show generate --mermaid",
)
@connected
async def show(
    session: Session,
    pipeline: PipelineArgument,
    mermaid: Annotated[
        bool, typer.Option("--mermaid", help="As a drawing for Mermaid.", show_default=False)
    ] = False,
    graph: Annotated[
        bool, typer.Option("--graph", help="Only the graph, as `add` takes it.", show_default=False)
    ] = False,
) -> None:
    """Show a pipeline's stages and what goes from one to the next."""
    if mermaid:
        plain((await session.client.pipelines.mermaid(pipeline)).rstrip())
        return
    found = await session.client.pipelines.get(pipeline)
    if graph:
        document(found.graph)
        return

    def text() -> None:
        table(("pipeline", "name", "built in", "needs", "may have", "stages"), [_cells(found)])
        plain("")
        table(("stage", "kind", "takes"), map(_stage_cells, found.graph.get("stages", ())))

    session.show(found, text)


@examples("myspinbot pipelines add 'My own' mine.json")
@connected
async def add_pipeline(
    session: Session,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What to call it.", show_default=False)
    ],
    graph: Annotated[
        Path, typer.Argument(metavar="FILE", help="Its graph as JSON.", show_default=False)
    ],
) -> None:
    """Keep a graph of your own; prints the pipeline's id for `submit --pipeline`."""
    made = await session.client.pipelines.create(name, _read(graph))
    session.show(made, lambda: plain(made.pipeline_id))


@examples("myspinbot pipelines delete my-own")
@connected
async def delete(session: Session, pipeline: PipelineArgument, yes: YesOption = False) -> None:
    """Delete a pipeline of your own. Jobs that ran it stay."""
    confirm(f"Delete the pipeline {pipeline}?", yes=yes)
    await session.client.pipelines.delete(pipeline)
    session.show({"deleted": pipeline}, lambda: hint(f"Deleted: {pipeline}."))


def _read(path: Path) -> dict[str, Any]:
    try:
        graph = json.loads(readable(path.expanduser(), "graph").read_text(encoding="utf-8"))
    except ValueError as error:
        raise CommandError(
            f"The file {path} is no JSON: {error}.",
            "`myspinbot pipelines show generate --graph` prints one to begin with.",
            MISUSED,
        ) from error
    if not isinstance(graph, dict):
        raise CommandError(
            f"The file {path} holds no graph.", "A graph is an object with `stages`.", MISUSED
        )
    return graph


def _cells(pipeline: Pipeline) -> tuple[str, ...]:
    return (
        pipeline.pipeline_id,
        pipeline.name,
        "yes" if pipeline.built_in else "no",
        ", ".join(pipeline.needs),
        ", ".join(pipeline.may_have),
        str(len(pipeline.graph.get("stages", ()))),
    )


def _stage_cells(stage: dict[str, Any]) -> tuple[str, ...]:
    bindings = stage.get("inputs", {}).items()
    takes = (
        f"{name} of {source['stage']}" if source.get("stage") else f"{name} of the job"
        for name, source in bindings
    )
    return str(stage["id"]), str(stage["kind"]), ", ".join(takes)


add(app, "list", list_pipelines)
add(app, "show", show)
add(app, "add", add_pipeline)
add(app, "delete", delete)
