"""What becomes of jobs, and how long their stages take."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from deploy.grafana.panels import THIRD, Query, board, graph, number

_ENDED = "myspinbot_planner_jobs_ended_total"


def jobs() -> dashboard.Dashboard:
    """Jobs by state and type, durations, failures and retries."""
    return board(
        "jobs",
        "Jobs",
        "Jobs by state and type, the time of stages by kind and engine, failures and retries.",
        [
            (
                "The last day",
                [
                    number("Completed", f'sum(increase({_ENDED}{{status="completed"}}[24h]))'),
                    number("Failed", f'sum(increase({_ENDED}{{status="failed"}}[24h]))'),
                    number("Cancelled", f'sum(increase({_ENDED}{{status="cancelled"}}[24h]))'),
                    number(
                        "Dead letters",
                        "sum(increase(myspinbot_planner_dead_letters_total[24h]))",
                        bad_from=1,
                    ),
                    number("Retries", "sum(increase(myspinbot_planner_retries_total[24h]))"),
                    number(
                        "Overtaken decisions",
                        "sum(increase(myspinbot_planner_conflicts_total[24h]))",
                        about="Other events came first; such a decision is made anew",
                    ),
                ],
            ),
            (
                "Jobs",
                [
                    graph(
                        "Not ended, by type and status",
                        Query(
                            "sum by (type, status) (myspinbot_planner_jobs)", "{{type}} {{status}}"
                        ),
                        stacked=True,
                        span=THIRD,
                    ),
                    graph(
                        "Requested",
                        Query(
                            "sum by (type) (increase(myspinbot_gateway_jobs_requested_total[1h]))",
                            "{{type}}",
                        ),
                        span=THIRD,
                        about="By hour",
                    ),
                    graph(
                        "From request to end",
                        Query(
                            "histogram_quantile(0.5, sum by (le, type) "
                            "(rate(myspinbot_planner_job_seconds_bucket[1h])))",
                            "{{type}} median",
                        ),
                        Query(
                            "histogram_quantile(0.95, sum by (le, type) "
                            "(rate(myspinbot_planner_job_seconds_bucket[1h])))",
                            "{{type}} 95 %",
                        ),
                        unit="s",
                        span=THIRD,
                        exemplars=True,
                    ),
                ],
            ),
            (
                "Stages",
                [
                    graph(
                        "Median time by kind and engine",
                        Query(
                            "histogram_quantile(0.5, sum by (le, kind, engine) "
                            "(rate(myspinbot_runner_stage_seconds_bucket[1h])))",
                            "{{kind}} {{engine}}",
                        ),
                        unit="s",
                        exemplars=True,
                    ),
                    graph(
                        "Slowest twentieth by kind and engine",
                        Query(
                            "histogram_quantile(0.95, sum by (le, kind, engine) "
                            "(rate(myspinbot_runner_stage_seconds_bucket[1h])))",
                            "{{kind}} {{engine}}",
                        ),
                        unit="s",
                        exemplars=True,
                    ),
                    graph(
                        "How attempts end",
                        Query(
                            "sum by (kind, outcome) "
                            "(increase(myspinbot_runner_outcomes_total[1h]))",
                            "{{kind}} {{outcome}}",
                        ),
                        about="By hour",
                        span=THIRD,
                    ),
                    graph(
                        "Failures by code",
                        Query(
                            "sum by (kind, code) "
                            "(increase(myspinbot_planner_stage_failures_total[1h]))",
                            "{{kind}} {{code}}",
                        ),
                        about="By hour",
                        span=THIRD,
                    ),
                    graph(
                        "Retries by kind",
                        Query(
                            "sum by (kind) (increase(myspinbot_planner_retries_total[1h]))",
                            "{{kind}}",
                        ),
                        about="By hour",
                        span=THIRD,
                    ),
                ],
            ),
        ],
    )
