"""What a runner tells of its machine and of what it works on."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from contracts.capabilities import Device
from gpu_runner import metrics
from gpu_runner.devices import find_devices, memory_used
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import CollectorRegistry

GPUS = "0, Card A, 24576\n1, Card B, 8192\n"
USED = "0, 1024\n1, 4096\n"


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NVIDIA's program as it answers on a machine with two GPUs (its own CSV format)."""
    program = tmp_path / "nvidia-smi"
    (tmp_path / "used").write_text(USED)
    (tmp_path / "all").write_text(GPUS)
    answers = f"*memory.used*) cat {tmp_path}/used ;; *) cat {tmp_path}/all ;;"
    program.write_text(f'#!/bin/sh\ncase "$1" in {answers} esac\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


def samples(collector: metrics.MachineCollector) -> dict[str, Metric]:
    return {family.name: family for family in collector.collect()}


def test_memory_of_gpus_is_asked_of_their_maker(two_gpus: None) -> None:
    devices = find_devices()
    assert [device.memory_bytes >> 30 for device in devices] == [24, 8]
    assert memory_used(devices) == {"cuda:0": 1 << 30, "cuda:1": 4 << 30}


def test_memory_of_the_processor_is_that_of_the_machine() -> None:
    cpu = Device(name="cpu", title="CPU", memory_bytes=1)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < memory_used([cpu])["cpu"] < total


def test_a_device_that_cannot_be_asked_is_left_out() -> None:
    assert memory_used([Device(name="mps", title="Apple GPU", memory_bytes=1)]) == {}


def test_the_most_silent_stage_of_each_engine_is_told(tmp_path: Path) -> None:
    silences = [metrics.Silence("draw", "a", 3.0), metrics.Silence("draw", "a", 9.0)]
    collector = metrics.MachineCollector(
        engines=(("draw", "a"), ("speak", "b")), silences=lambda: silences, scratch=tmp_path
    )
    family = samples(collector)["myspinbot_runner_stage_silence_seconds"]
    told = {(s.labels["kind"], s.labels["engine"]): s.value for s in family.samples}
    assert told == {("draw", "a"): 9.0, ("speak", "b"): 0.0}


def test_room_is_told_of_where_stages_work(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    registry.register(metrics.MachineCollector(scratch=tmp_path))
    assert b"myspinbot_runner_scratch_free_bytes " in generate_latest(registry)


def test_what_a_stage_measured_of_itself_is_taken_over_and_nothing_else() -> None:
    metrics.note_result("k_one", "e", {"steps_per_second": 2.5, "real_time_factor": "fast"})
    steps = metrics.STEPS_PER_SECOND.collect()[0].samples
    assert [s.value for s in steps if s.labels["kind"] == "k_one"] == [2.5]
    factors = metrics.REAL_TIME_FACTOR.collect()[0].samples
    assert [s for s in factors if s.labels["kind"] == "k_one"] == []


def test_a_unit_that_is_no_word_cannot_become_a_label() -> None:
    metrics.pace_of("k_two", "e", "x" * 50).set(1)
    told = metrics.PACE.collect()[0].samples
    assert [s.labels["unit"] for s in told if s.labels["kind"] == "k_two"] == ["other"]
