"""Graphs as Mermaid flowcharts (https://mermaid.js.org/syntax/flowchart.html)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from contracts.graph import EdgeKind, Graph, Stage
from contracts.job import StageStatus

_LINKS = {
    EdgeKind.NORMAL: "-.->|then|",
    EdgeKind.ON_SUCCESS: "-->|on success|",
    EdgeKind.ON_FAILURE: "-.->|on failure|",
}
# Fill, border, text: read in light and dark pages alike, and told apart by their words too.
_COLOURS = {
    StageStatus.PENDING: ("#eceff1", "#90a4ae", "#37474f"),
    StageStatus.SCHEDULED: ("#fff8e1", "#ffb300", "#5d4037"),
    StageStatus.RUNNING: ("#e3f2fd", "#1e88e5", "#0d47a1"),
    StageStatus.FAILING: ("#fff3e0", "#fb8c00", "#bf360c"),
    StageStatus.WAITING: ("#fff3e0", "#fb8c00", "#bf360c"),
    StageStatus.COMPLETED: ("#e8f5e9", "#43a047", "#1b5e20"),
    StageStatus.FAILED: ("#ffebee", "#e53935", "#b71c1c"),
    StageStatus.SKIPPED: ("#fafafa", "#bdbdbd", "#616161"),
}


def mermaid(
    graph: Graph,
    statuses: Mapping[str, StageStatus] | None = None,
    notes: Mapping[str, str] | None = None,
) -> str:
    """The flowchart: what the request brings is round, an arrow has the name of what it carries.

    An optional input has a question mark; dotted arrows carry nothing, but order. With `statuses`
    each stage is coloured by how it stands, and has its status and its note below its name.
    """
    lines = ["flowchart LR"]
    # Prefixes keep names apart that mean something to Mermaid, such as `end`.
    given = {
        binding.output
        for stage in graph.stages
        for binding in stage.inputs.values()
        if binding.stage is None
    }
    lines += [f"  in_{name}([{name}])" for name in sorted(given)]
    for stage in graph.stages:
        status = (statuses or {}).get(stage.id)
        note = (notes or {}).get(stage.id, "")
        lines.append(f'  st_{stage.id}["{_title(stage)}{_below(status, note)}"]{_class(status)}')
    for stage in graph.stages:
        lines += _carried(stage)
    lines += [f"  st_{edge.source} {_LINKS[edge.kind]} st_{edge.target}" for edge in graph.edges]
    for status in sorted(set((statuses or {}).values())):
        fill, stroke, text = _COLOURS[status]
        lines.append(f"  classDef {status} fill:{fill},stroke:{stroke},color:{text}")
    return "\n".join(lines) + "\n"


def _title(stage: Stage) -> str:
    kind = "" if stage.kind == stage.id else f": {stage.kind}"
    engine = f" ({stage.engine})" if stage.engine else ""
    return f"{stage.id}{kind}{engine}"


def _below(status: StageStatus | None, note: str) -> str:
    told = ", ".join(word for word in (status, note.replace('"', "#quot;")) if word)
    return f"<br/>{told}" if told else ""


def _class(status: StageStatus | None) -> str:
    return f":::{status}" if status else ""


def _carried(stage: Stage) -> Iterator[str]:
    """One arrow from each source, with all that it brings."""
    carried: defaultdict[str, list[str]] = defaultdict(list)
    for binding in stage.inputs.values():
        source = f"in_{binding.output}" if binding.stage is None else f"st_{binding.stage}"
        carried[source].append(binding.output + ("?" if binding.optional else ""))
    for source, outputs in sorted(carried.items()):
        yield f"  {source} -->|{', '.join(sorted(set(outputs)))}| st_{stage.id}"
