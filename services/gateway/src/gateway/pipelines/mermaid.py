"""Graphs as Mermaid flowcharts (https://mermaid.js.org/syntax/flowchart.html)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from contracts.graph import EdgeKind, Graph, Stage

_LINKS = {
    EdgeKind.NORMAL: "-.->|then|",
    EdgeKind.ON_SUCCESS: "-->|on success|",
    EdgeKind.ON_FAILURE: "-.->|on failure|",
}


def mermaid(graph: Graph) -> str:
    """The flowchart: what the request brings is round, an arrow has the name of what it carries.

    An optional input has a question mark; dotted arrows carry nothing, but order.
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
    lines += [f'  st_{stage.id}["{_title(stage)}"]' for stage in graph.stages]
    for stage in graph.stages:
        lines += _carried(stage)
    lines += [f"  st_{edge.source} {_LINKS[edge.kind]} st_{edge.target}" for edge in graph.edges]
    return "\n".join(lines) + "\n"


def _title(stage: Stage) -> str:
    kind = "" if stage.kind == stage.id else f": {stage.kind}"
    engine = f" ({stage.engine})" if stage.engine else ""
    return f"{stage.id}{kind}{engine}"


def _carried(stage: Stage) -> Iterator[str]:
    """One arrow from each source, with all that it brings."""
    carried: defaultdict[str, list[str]] = defaultdict(list)
    for binding in stage.inputs.values():
        source = f"in_{binding.output}" if binding.stage is None else f"st_{binding.stage}"
        carried[source].append(binding.output + ("?" if binding.optional else ""))
    for source, outputs in sorted(carried.items()):
        yield f"  {source} -->|{', '.join(sorted(set(outputs)))}| st_{stage.id}"
