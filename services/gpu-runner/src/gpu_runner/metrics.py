"""What operators see of a runner: what it works on, how fast, and what its machine has left."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.capabilities import Device
from eventlog.metrics import exemplar
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gpu_runner.devices import memory_used

SLOTS = Gauge("myspinbot_runner_slots", "Stages that can run at the same time", ["lane"])
BUSY = Gauge("myspinbot_runner_busy", "Stages running now", ["lane"])
STAGES = Counter("myspinbot_runner_stages_total", "Stage attempts worked on", ["kind", "engine"])
OUTCOMES = Counter(
    "myspinbot_runner_outcomes_total",
    "Stage attempts by how they ended",
    ["kind", "engine", "outcome"],
)
DURATION = Histogram(
    "myspinbot_runner_stage_seconds",
    "How long attempts took",
    ["kind", "engine"],
    buckets=(1, 2, 5, 10, 20, 45, 90, 180, 600, 1800, 7200),
)
PACE = Gauge(
    "myspinbot_runner_pace",
    "Units of work that a stage does in a second, such as steps of a training; 0 after it",
    ["kind", "engine", "unit"],
)
STEPS_PER_SECOND = Gauge(
    "myspinbot_runner_training_steps_per_second",
    "Steps per second of the latest training that ended well",
    ["kind", "engine"],
)
REAL_TIME_FACTOR = Gauge(
    "myspinbot_runner_real_time_factor",
    "Seconds of work for each second of sound or picture made, of the latest stage",
    ["kind", "engine"],
)

_MEASURED: Mapping[str, Gauge] = {
    "steps_per_second": STEPS_PER_SECOND,
    "real_time_factor": REAL_TIME_FACTOR,
}
"""By their names among the metrics that a stage returns."""
_UNIT = re.compile(r"[a-z]{1,20}")


@contextmanager
def working(kind: str, engine: str) -> Iterator[None]:
    """Measures one attempt, however it ends."""
    STAGES.labels(kind, engine).inc()
    begun = time.perf_counter()
    try:
        yield
    finally:
        DURATION.labels(kind, engine).observe(time.perf_counter() - begun, exemplar())


def pace_of(kind: str, engine: str, unit: str) -> Gauge:
    """The gauge of a running stage. A unit that is no plain word counts as `other`."""
    return PACE.labels(kind, engine, unit if _UNIT.fullmatch(unit) else "other")


def note_result(kind: str, engine: str, metrics: Mapping[str, Any]) -> None:
    """Take over what a stage has measured of itself."""
    for name, gauge in _MEASURED.items():
        value = metrics.get(name)
        if isinstance(value, int | float):
            gauge.labels(kind, engine).set(value)


@dataclass(frozen=True, slots=True)
class Silence:
    """For how many seconds a stage's process has said nothing."""

    kind: str
    engine: str
    seconds: float


@dataclass(slots=True, eq=False)
class MachineCollector(Collector):
    """Looks at this machine when somebody asks."""

    devices: tuple[Device, ...] = ()
    engines: Iterable[tuple[str, str]] = ()
    silences: Callable[[], Iterable[Silence]] = tuple
    scratch: Path | None = None

    def describe(self) -> Iterable[Metric]:
        """The names, without any work."""
        return (self._total(), self._used({}), self._free(None), self._silence({}))

    def collect(self) -> Iterator[Metric]:
        """What is true now."""
        yield self._total()
        yield self._used(memory_used(self.devices))
        yield self._free(shutil.disk_usage(self.scratch).free if self.scratch else None)
        longest = dict.fromkeys(self.engines, 0.0)
        for silence in self.silences():
            key = (silence.kind, silence.engine)
            longest[key] = max(longest.get(key, 0.0), silence.seconds)
        yield self._silence(longest)

    def _total(self) -> Metric:
        family = GaugeMetricFamily(
            "myspinbot_runner_device_memory_bytes", "Memory of a device", labels=["device"]
        )
        for device in self.devices:
            family.add_metric([device.name], device.memory_bytes)
        return family

    def _used(self, used: Mapping[str, int]) -> Metric:
        family = GaugeMetricFamily(
            "myspinbot_runner_device_memory_used_bytes",
            "Memory of a device that is in use, by whomever; of the CPU that of the machine",
            labels=["device"],
        )
        for device, count in used.items():
            family.add_metric([device], count)
        return family

    def _free(self, free: int | None) -> Metric:
        family = GaugeMetricFamily(
            "myspinbot_runner_scratch_free_bytes", "Room left where stages work"
        )
        if free is not None:
            family.add_metric([], free)
        return family

    def _silence(self, longest: Mapping[tuple[str, str], float]) -> Metric:
        family = GaugeMetricFamily(
            "myspinbot_runner_stage_silence_seconds",
            "For how long a running stage has said nothing, of the most silent one, or 0",
            labels=["kind", "engine"],
        )
        for (kind, engine), seconds in longest.items():
            family.add_metric([kind, engine], seconds)
        return family


MACHINE = MachineCollector()
REGISTRY.register(MACHINE)
