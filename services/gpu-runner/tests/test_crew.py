"""One training over several processes: the same result as in one, and the same checkpoints."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from contracts.capabilities import Device
from contracts.commands import Lane
from gpu_runner import protocol
from gpu_runner.engines.diffusion.checkpoint import STATE_FILE
from gpu_runner.engines.mini import train_lora
from gpu_runner.main import allowed_lanes, devices_per_stage, lanes_of
from gpu_runner.process import StageProcess
from gpu_runner.stage import StageError
from mini_support import Memory, make_context, write_face, write_random_base
from safetensors.torch import load_file
from servicekit.settings import Environment, SettingsError

pytestmark = pytest.mark.long

STEPS = 6
PARAMS: dict[str, Any] = {
    "steps": STEPS,
    "batch_size": 3,
    "rank": 2,
    "sample_every": 0,
    "checkpoint_every": 2,
    "min_snr_gamma": 5,
}


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_face(tmp_path_factory.mktemp("face"))


@pytest.fixture(scope="module", autouse=True)
def base(tmp_path_factory: pytest.TempPathFactory) -> Any:
    os.environ["TINY_BASE"] = str(write_random_base(tmp_path_factory.mktemp("base")))
    yield
    del os.environ["TINY_BASE"]


class Run:
    """A stage in its child process, and what the child has said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.messages: list[protocol.Message] = []

    async def train(
        self, face: Path, processes: int, resume: Path | None = None, **changes: object
    ) -> protocol.Done | protocol.Failed:
        output, scratch = self.folder / "output", self.folder / "scratch"
        output.mkdir(parents=True)
        scratch.mkdir()
        task = protocol.Task(
            module="tests.support.tiny",
            params_module=train_lora.__name__,
            params_class="Params",
            params={**PARAMS, **changes},
            inputs={"faces": [face]},
            output=output,
            scratch=scratch,
            resume=resume,
            device="cpu",
            seed=5,
            devices=("cpu",) * processes,
        )
        process = await StageProcess.start(self.folder, task, 1)
        async with asyncio.timeout(200):
            self.messages = [message async for message in process.messages()]
        await process.kill()
        ending = self.messages[-1]
        assert isinstance(ending, protocol.Done | protocol.Failed)
        return ending

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        return dict(load_file(self.folder / "output" / "lora.safetensors"))

    @property
    def checkpoint(self) -> Path:
        """The first that was kept."""
        kept = (each for each in self.messages if isinstance(each, protocol.Checkpointed))
        return next(kept).directory


async def test_two_processes_go_on_from_the_checkpoint_of_one_and_learn_what_it_learns(
    face: Path, tmp_path: Path
) -> None:
    report = Memory()
    params = train_lora.Params(**PARAMS)
    context = make_context(tmp_path / "alone", params, {"faces": [face]}, report=report)
    alone = train_lora.run(context, Path(os.environ["TINY_BASE"]))
    checkpoints = {step: folder for folder, step in report.checkpoints}

    together = Run(tmp_path / "together")
    ending = await together.train(face, 2, resume=checkpoints[2])

    assert isinstance(ending, protocol.Done), ending
    assert ending.metrics["resumed_at"] == 2
    assert ending.metrics["final_loss"] == pytest.approx(alone.metrics["final_loss"], abs=2e-3)
    expected = load_file(alone.outputs["lora"][0])
    assert expected.keys() == together.weights.keys()
    for name, tensor in together.weights.items():
        assert torch.allclose(expected[name], tensor, atol=2e-3), name
    # What two have kept is what one has kept: each step's loss is that of the whole batch.
    kept = [read_state(folder) for folder in (checkpoints[4], together.checkpoint)]
    assert kept[1]["losses"] == pytest.approx(kept[0]["losses"], abs=1e-4)
    assert kept[0]["config"] == kept[1]["config"]


def read_state(folder: Path) -> dict[str, Any]:
    return dict(torch.load(folder / STATE_FILE, weights_only=True))


def test_a_batch_that_is_too_small_for_the_devices_is_refused(
    face: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    context = make_context(tmp_path, train_lora.Params(batch_size=1), {"faces": [face]})
    with pytest.raises(StageError, match="2 or more") as caught:
        train_lora.run(context)
    assert caught.value.code == "batch-too-small"


def test_devices_are_given_to_stages_in_groups() -> None:
    devices = [Device(name=f"cuda:{index}", title="GPU", memory_bytes=1) for index in range(4)]
    cpu = (Lane.CPU, "cpu")
    assert lanes_of(devices[:2], 1) == [(Lane.GPU, "cuda:0"), (Lane.GPU, "cuda:1"), cpu]
    assert lanes_of(devices[:3], 2) == [(Lane.GPU, "cuda:0+cuda:1"), (Lane.GPU, "cuda:2"), cpu]
    assert lanes_of(devices, 4) == [(Lane.GPU, "cuda:0+cuda:1+cuda:2+cuda:3"), cpu]


@pytest.mark.parametrize("wrong", ["0", "1.5", "-2"])
def test_an_impossible_number_of_devices_is_refused(wrong: str) -> None:
    with pytest.raises(SettingsError, match="DEVICES_PER_STAGE"):
        devices_per_stage(Environment({"MYSPINBOT_DEVICES_PER_STAGE": wrong}))


def test_lanes_are_all_unless_some_are_named() -> None:
    assert allowed_lanes(Environment({})) == set(Lane)
    assert allowed_lanes(Environment({"MYSPINBOT_LANES": "cpu"})) == {Lane.CPU}
    for wrong in ("tpu", "", "cpu,tpu"):
        with pytest.raises(SettingsError, match="LANES"):
            allowed_lanes(Environment({"MYSPINBOT_LANES": wrong}))
