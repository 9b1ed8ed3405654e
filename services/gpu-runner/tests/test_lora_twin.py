"""A training with a twin, which learns half of each batch: as one process does it alone."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from gpu_runner.engines.diffusion import trainer as trainer_module
from gpu_runner.engines.diffusion import twin
from gpu_runner.engines.mini import train_lora
from gpu_runner.stage import StageResult
from mini_support import Memory, make_context, write_face, write_random_base
from safetensors.torch import load_file

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="twins are for Linux")

STEPS = 6


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_face(tmp_path_factory.mktemp("face"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(autouse=True)
def _as_if_there_were_a_processor_more(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads are for speed alone, and tests that share processors are faster without."""
    threads = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(trainer_module, "may_have_twin", lambda *_: True)
    yield
    assert torch.get_num_threads() == 1
    torch.set_num_threads(threads)


@pytest.fixture
def born(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The process ids of the twins of a test."""
    pids: list[int] = []

    class Watched(twin.Twin):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            pids.append(self._pid)

    monkeypatch.setattr(trainer_module, "Twin", Watched)
    return pids


class Train:
    def __init__(self, face: Path, base: Path, folder: Path) -> None:
        self.face, self.base, self.folder = face, base, folder
        self.report = Memory()

    def __call__(
        self, name: str, report: Memory | None = None, resume: Path | None = None, **changes: Any
    ) -> StageResult:
        params = train_lora.Params(
            **{"steps": STEPS, "batch_size": 3, "rank": 2, "checkpoint_every": 2, **changes}
        )
        context = make_context(
            self.folder / name, params, {"faces": [self.face]}, report=report, resume=resume
        )
        return train_lora.run(context, self.base)


@pytest.fixture
def train(face: Path, base: Path, tmp_path: Path) -> Train:
    return Train(face, base, tmp_path)


def weights(result: StageResult) -> dict[str, torch.Tensor]:
    return dict(load_file(result.outputs["lora"][0]))


def open_pipes() -> int:
    ends = Path("/proc/self/fd").iterdir()
    return sum(end.is_fifo() for end in ends)


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    "changes",
    [{}, {"gradient_accumulation": 2, "text_encoder": True, "dora": True}],
    ids=["plain", "accumulated-with-text-encoder"],
)
def test_two_learn_what_one_learns(
    train: Train, born: list[int], monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    together = train("together", **changes)
    assert len(born) == 1
    assert gone(born[0])
    monkeypatch.setattr(trainer_module, "may_have_twin", lambda *_: False)
    alone = train("alone", **changes)
    assert len(born) == 1
    assert together.metrics["final_loss"] == pytest.approx(alone.metrics["final_loss"], abs=2e-3)
    expected = weights(alone)
    for name, tensor in weights(together).items():
        assert torch.allclose(expected[name], tensor, atol=2e-3), name


def test_a_resumed_training_with_a_twin_ends_with_the_very_numbers(
    train: Train, born: list[int]
) -> None:
    report = Memory()
    whole = train("whole", report=report, ema_decay=0.9)
    checkpoints = {step: folder for folder, step in report.checkpoints}
    resumed = train("resumed", resume=checkpoints[2], ema_decay=0.9)
    assert resumed.metrics["resumed_at"] == 2
    assert len(born) == 2
    expected = weights(whole)
    for name, tensor in weights(resumed).items():
        assert torch.equal(expected[name], tensor), name


def test_a_twin_that_is_killed_for_want_of_memory_is_done_without(
    train: Train, born: list[int]
) -> None:
    class Killing(Memory):
        def progress(self, done: float, total: float, unit: str, message: str = "") -> None:
            super().progress(done, total, unit, message)
            if done == 3 and message.startswith("loss"):
                os.kill(born[0], signal.SIGKILL)

    report = Killing()
    result = train("lost", report=report, batch_size=4)
    assert len(born) == 1
    assert gone(born[0])
    assert result.metrics["steps"] == STEPS
    assert any("memory" in line and "2" in line for _, line in report.said_lines)


def test_without_memory_for_a_twin_one_learns_alone(
    train: Train, born: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> int:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(os, "fork", refused)
    before = open_pipes()
    result = train("alone")
    assert not born
    assert result.metrics["steps"] == STEPS
    assert open_pipes() == before


def test_a_twin_needs_a_processor_and_a_picture_of_its_own() -> None:
    processor = torch.device("cpu")
    torch.set_num_threads(2)
    try:
        assert twin.may_have_twin(processor, 2)
        assert not twin.may_have_twin(processor, 1)
        assert not twin.may_have_twin(torch.device("meta"), 2)
    finally:
        torch.set_num_threads(1)
    assert not twin.may_have_twin(processor, 2)
