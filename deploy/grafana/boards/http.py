"""What comes in from outside: requests, live connections, uploads."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from deploy.grafana.panels import THIRD, Query, board, graph

_REQUESTS = "myspinbot_gateway_requests_total"
_SECONDS = "myspinbot_gateway_request_seconds_bucket"


def http() -> dashboard.Dashboard:
    """Rate, errors and duration by route; who listens."""
    return board(
        "http",
        "HTTP",
        "Requests by route and status, their time, live connections, the entrance.",
        [
            (
                "Requests",
                [
                    graph(
                        "By route",
                        Query(
                            f"sum by (method, route) (rate({_REQUESTS}[$__rate_interval]))",
                            "{{method}} {{route}}",
                        ),
                        unit="reqps",
                        span=THIRD,
                    ),
                    graph(
                        "By status",
                        Query(
                            f"sum by (status) (rate({_REQUESTS}[$__rate_interval]))", "{{status}}"
                        ),
                        unit="reqps",
                        span=THIRD,
                    ),
                    graph(
                        "Time by route, 95 %",
                        Query(
                            "histogram_quantile(0.95, sum by (le, method, route) "
                            f"(rate({_SECONDS}[$__rate_interval])))",
                            "{{method}} {{route}}",
                        ),
                        unit="s",
                        exemplars=True,
                        span=THIRD,
                    ),
                ],
            ),
            (
                "Live",
                [
                    graph(
                        "Clients",
                        Query("sum(myspinbot_gateway_ws_clients)", "WebSockets"),
                        Query("sum(myspinbot_gateway_sse_clients)", "event streams"),
                        Query("sum(myspinbot_gateway_ws_subscriptions)", "jobs watched"),
                        span=THIRD,
                    ),
                    graph(
                        "Jobs held in memory",
                        Query("sum(myspinbot_gateway_live_jobs)", "jobs"),
                        span=THIRD,
                    ),
                    graph(
                        "Clients let go",
                        Query(
                            "sum by (way) (increase(myspinbot_gateway_stalled_clients_total[1h]))",
                            "{{way}}",
                        ),
                        about="They took nothing of what was sent",
                        span=THIRD,
                    ),
                    graph(
                        "Uploads",
                        Query(
                            "sum by (kind) "
                            "(rate(myspinbot_gateway_upload_bytes_total[$__rate_interval]))",
                            "{{kind}}",
                        ),
                        unit="Bps",
                        span=THIRD,
                    ),
                    graph(
                        "Tries to deliver to webhooks",
                        Query(
                            "sum by (outcome) (increase(myspinbot_webhook_tries_total[1h]))",
                            "{{outcome}}",
                        ),
                        span=THIRD,
                    ),
                ],
            ),
            (
                "Entrance",
                [
                    graph(
                        "Requests at Traefik",
                        Query(
                            "sum by (service, code) "
                            "(rate(traefik_service_requests_total[$__rate_interval]))",
                            "{{service}} {{code}}",
                        ),
                        unit="reqps",
                    ),
                    graph(
                        "Certificates end in",
                        Query("traefik_tls_certs_not_after - time()", "{{cn}} {{sans}}"),
                        unit="s",
                    ),
                ],
            ),
        ],
    )
