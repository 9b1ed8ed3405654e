"""The queue of stages, the log of jobs, and who reads it."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from deploy.grafana.panels import THIRD, Query, board, graph


def _quantile(quantile: float, metric: str, by: str) -> str:
    rate = f"rate({metric}_bucket[$__rate_interval])"
    return f"histogram_quantile({quantile}, sum by (le, {by}) ({rate}))"


def queue() -> dashboard.Dashboard:
    """Depth and age, appends, lag, transactions, and the broker's store."""
    return board(
        "queue",
        "Queue and log",
        "Depth and age of the queue, appends to the log, lag of the views, the broker's store.",
        [
            (
                "Queue",
                [
                    graph(
                        "Stages by state",
                        Query(
                            "sum by (kind, state) (myspinbot_planner_stages)", "{{kind}} {{state}}"
                        ),
                        stacked=True,
                        span=THIRD,
                    ),
                    graph(
                        "Age of the stage that has waited longest",
                        Query("max by (kind) (myspinbot_planner_queue_age_seconds)", "{{kind}}"),
                        unit="s",
                        span=THIRD,
                    ),
                    graph(
                        "Time in the queue",
                        Query(
                            "histogram_quantile(0.95, sum by (le, kind) "
                            "(rate(myspinbot_planner_stage_wait_seconds_bucket[1h])))",
                            "{{kind}} 95 %",
                        ),
                        unit="s",
                        span=THIRD,
                        exemplars=True,
                    ),
                    graph(
                        "Waiting at the broker",
                        Query(
                            'jetstream_consumer_num_pending{stream_name="CMD"}',
                            "{{consumer_name}} pending",
                        ),
                        Query(
                            'jetstream_consumer_num_ack_pending{stream_name="CMD"}',
                            "{{consumer_name}} in hand",
                        ),
                        span=THIRD,
                    ),
                    graph(
                        "Delivered again",
                        Query(
                            'jetstream_consumer_num_redelivered{stream_name="CMD"}',
                            "{{consumer_name}}",
                        ),
                        span=THIRD,
                    ),
                    graph(
                        "Commands and decisions",
                        Query(
                            "sum(rate(myspinbot_planner_commands_total[$__rate_interval]))",
                            "commands",
                        ),
                        Query(
                            "sum(rate(myspinbot_planner_decisions_total[$__rate_interval]))",
                            "events decided",
                        ),
                        unit="ops",
                        span=THIRD,
                    ),
                ],
            ),
            (
                "Log",
                [
                    graph(
                        "Appends",
                        Query(
                            "sum by (service, outcome) "
                            "(rate(myspinbot_log_append_seconds_count[$__rate_interval]))",
                            "{{service}} {{outcome}}",
                        ),
                        unit="ops",
                        span=THIRD,
                    ),
                    graph(
                        "Time of an append",
                        Query(
                            _quantile(0.95, "myspinbot_log_append_seconds", "service"),
                            "{{service}} 95 %",
                        ),
                        unit="s",
                        span=THIRD,
                        exemplars=True,
                    ),
                    graph(
                        "Connections to the broker",
                        Query("min by (service) (myspinbot_broker_connected)", "{{service}}"),
                        span=THIRD,
                    ),
                    graph(
                        "Store of the broker",
                        Query(
                            "jetstream_server_total_message_bytes "
                            "/ (jetstream_server_max_storage > 0)",
                            "{{server_name}}",
                        ),
                        unit="percentunit",
                        span=THIRD,
                    ),
                    graph(
                        "Size of streams",
                        Query(
                            "max by (stream_name) (jetstream_stream_total_bytes)", "{{stream_name}}"
                        ),
                        unit="bytes",
                        span=THIRD,
                    ),
                ],
            ),
            (
                "Views",
                [
                    graph(
                        "Events behind the log",
                        Query("myspinbot_projector_lag_events", "{{instance}}"),
                        span=THIRD,
                    ),
                    graph(
                        "Seconds behind the log",
                        Query("myspinbot_projector_lag_seconds", "{{instance}}"),
                        unit="s",
                        span=THIRD,
                    ),
                    graph(
                        "Events written",
                        Query(
                            "rate(myspinbot_projector_events_total[$__rate_interval])",
                            "{{instance}}",
                        ),
                        unit="ops",
                        span=THIRD,
                    ),
                    graph(
                        "Time of a transaction",
                        Query(
                            _quantile(
                                0.95, "myspinbot_sql_transaction_seconds", "transaction, outcome"
                            ),
                            "{{transaction}} {{outcome}} 95 %",
                        ),
                        unit="s",
                        span=THIRD,
                        exemplars=True,
                    ),
                    graph(
                        "Time of an answer to a query",
                        Query(
                            _quantile(0.95, "myspinbot_projector_query_seconds", "query"),
                            "{{query}} 95 %",
                        ),
                        unit="s",
                        span=THIRD,
                        exemplars=True,
                    ),
                    graph(
                        "Connections of PostgreSQL",
                        Query("sum by (datname) (pg_stat_database_numbackends)", "{{datname}}"),
                        span=THIRD,
                    ),
                ],
            ),
            (
                "Objects",
                [
                    graph(
                        "Requests to the object store",
                        Query(
                            "sum by (service, operation, outcome) "
                            "(rate(myspinbot_s3_request_seconds_count[$__rate_interval]))",
                            "{{service}} {{operation}} {{outcome}}",
                        ),
                        unit="reqps",
                    ),
                    graph(
                        "Time of a request to the object store",
                        Query(
                            _quantile(0.95, "myspinbot_s3_request_seconds", "operation"),
                            "{{operation}} 95 %",
                        ),
                        unit="s",
                        exemplars=True,
                    ),
                ],
            ),
        ],
    )
