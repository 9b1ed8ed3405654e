"""Is all well? The first thing to look at."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from deploy.grafana.panels import HALF, Query, board, graph, lines, number


def overview() -> dashboard.Dashboard:
    """The services, the work, and what waits."""
    return board(
        "overview",
        "Overview",
        "Is all well: services, work, queue, errors.",
        [
            (
                "Now",
                [
                    number(
                        "Services ready",
                        "sum(myspinbot_service_ready)",
                        bad_below=4,
                        about="Gateway, planner, projector and runners that do their work",
                    ),
                    number("Live runners", 'count(up{job="runner"} == 1)', bad_below=1),
                    number("Jobs running", 'sum(myspinbot_planner_jobs{status="running"})'),
                    number(
                        "Longest wait for a runner",
                        "max(myspinbot_planner_queue_age_seconds)",
                        unit="s",
                        bad_from=900,
                    ),
                    number(
                        "Requests that fail",
                        'sum(rate(myspinbot_gateway_requests_total{status=~"5.."}[5m])) '
                        "/ sum(rate(myspinbot_gateway_requests_total[5m])) or vector(0)",
                        unit="percentunit",
                        bad_from=0.05,
                    ),
                    number(
                        "Views behind the log",
                        "max(myspinbot_projector_lag_seconds)",
                        unit="s",
                        bad_from=30,
                    ),
                ],
            ),
            (
                "Work",
                [
                    graph(
                        "Jobs that have not ended",
                        Query(
                            "sum by (type, status) (myspinbot_planner_jobs)", "{{type}} {{status}}"
                        ),
                        stacked=True,
                    ),
                    graph(
                        "Jobs that ended, by hour",
                        Query(
                            "sum by (status) (increase(myspinbot_planner_jobs_ended_total[1h]))",
                            "{{status}}",
                        ),
                    ),
                    graph(
                        "Runner slots in use",
                        Query(
                            "sum by (lane) (myspinbot_runner_busy) "
                            "/ sum by (lane) (myspinbot_runner_slots)",
                            "{{lane}}",
                        ),
                        unit="percentunit",
                    ),
                    graph(
                        "Requests",
                        Query(
                            "sum by (status) "
                            "(rate(myspinbot_gateway_requests_total[$__rate_interval]))",
                            "{{status}}",
                        ),
                        unit="reqps",
                    ),
                ],
            ),
            (
                "Processes",
                [
                    graph(
                        "Processors in use",
                        Query(
                            'rate(process_cpu_seconds_total{service!=""}[$__rate_interval])',
                            "{{service}} {{instance}}",
                        ),
                    ),
                    graph(
                        "Memory",
                        Query(
                            'process_resident_memory_bytes{service!=""}',
                            "{{service}} {{instance}}",
                        ),
                        unit="bytes",
                    ),
                    graph(
                        "Memory of containers",
                        Query(
                            "container_memory_working_set_bytes",
                            "{{container_label_com_docker_compose_service}}",
                        ),
                        unit="bytes",
                    ),
                    graph(
                        "Room left on disks",
                        Query(
                            'node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs|overlay|squashfs"}',
                            "{{instance}} {{mountpoint}}",
                        ),
                        Query("myspinbot_runner_scratch_free_bytes", "scratch {{instance}}"),
                        unit="bytes",
                        span=HALF,
                    ),
                ],
            ),
            (
                "What the services say",
                [
                    lines(
                        "Warnings and errors",
                        '{service=~"gateway|planner|projector|runner", level=~"warning|error"}',
                    )
                ],
            ),
        ],
    )
