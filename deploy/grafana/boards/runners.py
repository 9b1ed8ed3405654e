"""What runners do, how fast, and what their GPUs have left."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from deploy.grafana.panels import THIRD, Query, board, graph


def runners() -> dashboard.Dashboard:
    """Utilisation, memory, pace and silence."""
    return board(
        "runners",
        "Runners and GPUs",
        "Slots, memory and temperature, the pace of trainings, real-time factors.",
        [
            (
                "Runners",
                [
                    graph(
                        "Utilisation",
                        Query(
                            "sum by (instance, lane) (avg_over_time(myspinbot_runner_busy[5m])) "
                            "/ sum by (instance, lane) (myspinbot_runner_slots)",
                            "{{instance}} {{lane}}",
                        ),
                        unit="percentunit",
                        about="Slots in use, the mean of five minutes",
                        span=THIRD,
                    ),
                    graph(
                        "Live runners that can do a kind",
                        Query("max by (kind) (myspinbot_planner_runners)", "{{kind}}"),
                        span=THIRD,
                    ),
                    graph(
                        "Silence of running stages",
                        Query(
                            "max by (kind, engine) (myspinbot_runner_stage_silence_seconds)",
                            "{{kind}} {{engine}}",
                        ),
                        unit="s",
                        about="Since a stage's process said anything",
                        span=THIRD,
                    ),
                    graph(
                        "Attempts begun",
                        Query(
                            "sum by (kind, engine) (increase(myspinbot_runner_stages_total[1h]))",
                            "{{kind}} {{engine}}",
                        ),
                        about="By hour",
                        span=THIRD,
                    ),
                    graph(
                        "Memory of devices in use",
                        Query(
                            "myspinbot_runner_device_memory_used_bytes "
                            "/ myspinbot_runner_device_memory_bytes",
                            "{{instance}} {{device}}",
                        ),
                        unit="percentunit",
                        span=THIRD,
                    ),
                    graph(
                        "Abandoned stages",
                        Query("max by (kind) (myspinbot_planner_abandoned_stages)", "{{kind}}"),
                        about="They count as running, and their runner is gone",
                        span=THIRD,
                    ),
                ],
            ),
            (
                "Pace",
                [
                    graph(
                        "Pace of running stages",
                        Query("myspinbot_runner_pace", "{{kind}} {{engine}}, {{unit}}/s"),
                        about="Steps, frames, sentences and other units in a second",
                        span=THIRD,
                    ),
                    graph(
                        "Training steps per second",
                        Query("myspinbot_runner_training_steps_per_second", "{{kind}} {{engine}}"),
                        about="Of the latest training that ended well",
                        span=THIRD,
                    ),
                    graph(
                        "Real-time factor",
                        Query("myspinbot_runner_real_time_factor", "{{kind}} {{engine}}"),
                        about="Seconds of work for each second made: real time is 1",
                        span=THIRD,
                    ),
                ],
            ),
            (
                "GPUs",
                [
                    graph(
                        "Utilisation of GPUs",
                        Query("DCGM_FI_DEV_GPU_UTIL", "{{Hostname}} {{gpu}}"),
                        unit="percent",
                        span=THIRD,
                    ),
                    graph(
                        "Memory of GPUs",
                        Query("DCGM_FI_DEV_FB_USED * 1048576", "{{Hostname}} {{gpu}}"),
                        unit="bytes",
                        span=THIRD,
                    ),
                    graph(
                        "Temperature of GPUs",
                        Query("DCGM_FI_DEV_GPU_TEMP", "{{Hostname}} {{gpu}}"),
                        unit="celsius",
                        span=THIRD,
                    ),
                    graph(
                        "Power of GPUs",
                        Query("DCGM_FI_DEV_POWER_USAGE", "{{Hostname}} {{gpu}}"),
                        unit="watt",
                        span=THIRD,
                    ),
                    graph(
                        "Xid errors",
                        Query("DCGM_FI_DEV_XID_ERRORS", "{{Hostname}} {{gpu}}"),
                        about="The latest error's number; 0 is none",
                        span=THIRD,
                    ),
                ],
            ),
        ],
    )
