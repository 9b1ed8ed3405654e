"""How the panels of our dashboards look, so that a dashboard is only what it shows.

Built with Grafana's own SDK (https://grafana.github.io/grafana-foundation-sdk). A dashboard is
24 columns wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import (
    dashboard,
    logs,
    loki,
    prometheus,
    stat,
    tempo,
    timeseries,
)
from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.tempo import TempoQueryType

METRICS = DataSourceRef(type_val="prometheus", uid="prometheus")
TRACES = DataSourceRef(type_val="tempo", uid="tempo")
LOGS = DataSourceRef(type_val="loki", uid="loki")

HALF, THIRD, QUARTER, SIXTH, WHOLE = 12, 8, 6, 4, 24


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and what its lines are called: `{{label}}` stands for a label's value."""

    promql: str
    legend: str = ""


def _target(query: Query, letter: str, *, exemplars: bool) -> prometheus.Dataquery:
    target = prometheus.Dataquery().ref_id(letter).expr(query.promql).legend_format(query.legend)
    return target.exemplar(exemplars).datasource(METRICS)


def graph(
    title: str,
    *queries: Query,
    unit: str = "short",
    about: str = "",
    span: int = HALF,
    stacked: bool = False,
    exemplars: bool = False,
) -> timeseries.Panel:
    """Lines over time. `exemplars` shows points beside them that lead to traces."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .unit(unit)
        .min(0)
        .fill_opacity(30 if stacked else 8)
        .span(span)
        .height(8)
        .datasource(METRICS)
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    if stacked:
        panel = panel.stacking(StackingConfig().mode(StackingMode.NORMAL))
    for number, query in enumerate(queries):
        panel = panel.with_target(_target(query, chr(ord("A") + number), exemplars=exemplars))
    return panel


def number(
    title: str,
    promql: str,
    *,
    unit: str = "short",
    about: str = "",
    span: int = SIXTH,
    bad_from: float | None = None,
    bad_below: float | None = None,
) -> stat.Panel:
    """One figure. It is red from `bad_from` on, or below `bad_below`."""
    panel = (
        stat.Panel()
        .title(title)
        .description(about)
        .unit(unit)
        .span(span)
        .height(4)
        .datasource(METRICS)
        .graph_mode(BigValueGraphMode.AREA)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]).values(values=False))
        .with_target(_target(Query(promql), "A", exemplars=False))
    )
    steps = _steps(bad_from, bad_below)
    return panel.thresholds(steps) if steps else panel


def _steps(bad_from: float | None, bad_below: float | None) -> dashboard.ThresholdsConfig | None:
    if bad_from is not None:
        steps = [Threshold(color="green"), Threshold(value=bad_from, color="red")]
    elif bad_below is not None:
        steps = [Threshold(color="red"), Threshold(value=bad_below, color="green")]
    else:
        return None
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def found_traces(title: str, traceql: str, *, span: int = WHOLE, about: str = "") -> tables.Panel:
    """Traces that Tempo finds; a click opens one."""
    target = (
        tempo.TempoQuery()
        .ref_id("A")
        .query(traceql)
        .query_type(TempoQueryType.TRACEQL)
        .limit(20)
        .datasource(TRACES)
    )
    panel = tables.Panel().title(title).description(about).span(span).height(9)
    return panel.datasource(TRACES).with_target(target)


def lines(title: str, logql: str, *, span: int = WHOLE, about: str = "") -> logs.Panel:
    """Lines of logs; those with a trace lead to it."""
    target = loki.Dataquery().ref_id("A").expr(logql).datasource(LOGS)
    panel = logs.Panel().title(title).description(about).span(span).height(9)
    return panel.datasource(LOGS).show_time(show_time=True).with_target(target)


Panel = timeseries.Panel | stat.Panel | tables.Panel | logs.Panel


def board(
    uid: str, title: str, about: str, rows: Sequence[tuple[str, Sequence[Panel]]]
) -> dashboard.Dashboard:
    """A dashboard of rows of panels, with links to all others of ours."""
    built = (
        dashboard.Dashboard(f"MySpinBot / {title}")
        .uid(f"myspinbot-{uid}")
        .description(about)
        .tags(["myspinbot"])
        .refresh("15s")
        .time("now-1h", "now")
        .timezone("browser")
        .readonly()
        .link(
            dashboard.DashboardLink("MySpinBot")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["myspinbot"])
            .as_dropdown(as_dropdown=False)
            .keep_time(keep_time=True)
        )
    )
    for name, panels in rows:
        built = built.with_row(dashboard.Row(name))
        for panel in panels:
            built = built.with_panel(panel)
    return built
