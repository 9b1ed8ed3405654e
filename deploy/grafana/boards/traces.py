"""Traces by stage: from a figure to a trace, and from a trace to its logs."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from deploy.grafana.panels import HALF, Query, board, found_traces, graph, lines


def traces() -> dashboard.Dashboard:
    """The slowest traces of stages and requests; points in graphs lead to single ones."""
    return board(
        "traces",
        "Traces by stage",
        "A point beside a line is one measurement: a click on it opens its trace, and each span "
        "of a trace leads to what was logged meanwhile.",
        [
            (
                "Measurements with their traces",
                [
                    graph(
                        "Time of stages by kind",
                        Query(
                            "histogram_quantile(0.95, sum by (le, kind) "
                            "(rate(myspinbot_runner_stage_seconds_bucket[$__rate_interval])))",
                            "{{kind}} 95 %",
                        ),
                        unit="s",
                        exemplars=True,
                    ),
                    graph(
                        "Time in the queue by kind",
                        Query(
                            "histogram_quantile(0.95, sum by (le, kind) "
                            "(rate(myspinbot_planner_stage_wait_seconds_bucket[$__rate_interval])))",
                            "{{kind}} 95 %",
                        ),
                        unit="s",
                        exemplars=True,
                    ),
                ],
            ),
            (
                "Traces",
                [
                    found_traces(
                        "Stages that took longest",
                        "{ span.myspinbot.stage.kind != nil && duration > 5s }",
                        span=HALF,
                    ),
                    found_traces("Traces with errors", "{ status = error }", span=HALF),
                    found_traces(
                        "Slow requests",
                        '{ resource.service.name = "myspinbot-gateway" && kind = server '
                        "&& duration > 500ms }",
                    ),
                ],
            ),
            (
                "Logs",
                [
                    lines(
                        "Lines of traces",
                        '{service=~"gateway|planner|projector|runner"} | trace_id != ""',
                    )
                ],
            ),
        ],
    )
