"""Memory of a training: foreseen, told, refused with what would fit; and when it runs out."""

from __future__ import annotations

import contextlib
import gc
import json
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from contracts.stagelog import Level
from gpu_runner.engines.diffusion import lora
from gpu_runner.engines.diffusion.components import Components, load_components
from gpu_runner.engines.diffusion.config import (
    LargeConfig,
    Optimizer,
    Part,
    SdxlConfig,
    TrainConfig,
)
from gpu_runner.engines.diffusion.exhaustion import MemoryExhaustedError, give_back, ran_out
from gpu_runner.engines.diffusion.lessons import Lesson
from gpu_runner.engines.diffusion.loading import Loading, load_base
from gpu_runner.engines.diffusion.memory import free
from gpu_runner.engines.diffusion.memory.footprint import Footprint, footprint_of
from gpu_runner.engines.diffusion.memory.need import estimate, nearest_that_fits
from gpu_runner.engines.diffusion.memory.room import require_room
from gpu_runner.engines.diffusion.portrait import SdxlPortraitConfig
from gpu_runner.engines.diffusion.sampling import SamplingConfig
from gpu_runner.engines.diffusion.sources import open_source
from gpu_runner.engines.diffusion.stages import telling
from gpu_runner.engines.diffusion.stages import train_lora as stage
from gpu_runner.engines.diffusion.trainer import LoraTrainer
from gpu_runner.engines.mini import train_lora
from gpu_runner.engines.mini.base import BASE
from gpu_runner.engines.mini.traits import MINI
from gpu_runner.stage import StageContext, StageError, StageResult
from large_support import write_sdxl
from mini_support import Memory, make_context, write_face, write_random_base
from safetensors.torch import load_file

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        "mini": BASE,
        "sd15": write_random_base(tmp_path_factory.mktemp("sd15")),
        "sdxl": write_sdxl(tmp_path_factory.mktemp("sdxl")),
    }


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_face(tmp_path_factory.mktemp("face"))


def load(name: str, base: Path) -> Components:
    if name == "sdxl":
        return load_base(open_source(base, name), "cpu", Loading())
    return load_components(base, "cpu")


def bytes_kept(components: Components, pictures: int) -> int:
    """What torch really keeps for the backward pass, without the weights."""
    unet = components.unet.train()
    weights = {each.untyped_storage().data_ptr() for each in unet.parameters()}
    kept: dict[int, tuple[int, torch.Tensor]] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            # Held, so that its place in memory is not given to another.
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    side = unet.config["sample_size"]
    noisy = torch.zeros(pictures, unet.config["in_channels"], side, side)
    words = torch.zeros(pictures, 16, unet.config["cross_attention_dim"])
    added = None
    if unet.config["addition_embed_type"]:
        added = {"text_embeds": torch.zeros(pictures, 24), "time_ids": torch.zeros(pictures, 6)}
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        unet(noisy, torch.ones(pictures), words, added_cond_kwargs=added)
    return sum(size for size, _ in kept.values())


@pytest.mark.parametrize("name", ["mini", "sd15", "sdxl"])
def test_what_is_foreseen_is_what_torch_keeps(bases: dict[str, Path], name: str) -> None:
    components = load(name, bases[name])
    footprint = footprint_of(components)
    rank = 2
    lora.attach(components.unet, rank, rank, 1)
    per_rank = footprint.per_rank["attention"] + footprint.per_rank["convolutions"]
    weights = sum(one.numel() for one in components.unet.parameters() if one.requires_grad)
    assert per_rank * rank == weights
    assert 4 * footprint.kept * 2 == pytest.approx(bytes_kept(components, 2), rel=0.1)
    components.unet.enable_gradient_checkpointing()
    entering = bytes_kept(components, 1)
    assert entering < 4 * footprint.kept_checkpointed < 2.5 * entering


def test_text_encoders_are_foreseen_too(bases: dict[str, Path]) -> None:
    components = load("sd15", bases["sd15"])
    per_rank = footprint_of(components).per_rank["text"]
    lora.attach_text(components.text_encoder, 2, 2, 1)
    trained = (one for one in components.text_encoder.parameters() if one.requires_grad)
    assert sum(one.numel() for one in trained) == 2 * per_rank


LARGE = Footprint(
    weights=5_000_000_000,
    kept=3_500_000_000,
    kept_checkpointed=360_000_000,
    largest=75_000_000,
    kept_text=70_000_000,
    decoding=4_300_000_000,
    coming=330_000_000,
    per_rank={"attention": 2_600_000, "convolutions": 350_000, "text": 900_000},
)
"""About that of SDXL in half precision."""


def needs(**settings: Any) -> int:
    config = LargeConfig.model_validate(settings)
    return estimate(LARGE, config, torch.float16, GPU).total


def test_every_setting_that_saves_memory_is_seen_to_save_it() -> None:
    plain = needs(batch_size=4)
    assert needs(batch_size=1) < plain < needs(batch_size=4, text_encoder=True)
    assert needs(batch_size=4, gradient_checkpointing=True) < needs(batch_size=1)
    assert needs(gradient_checkpointing=True, vae_tiles=True) < needs(gradient_checkpointing=True)
    assert needs(rank=4) < needs(rank=64) < needs(rank=64, ema_decay=0.9)
    assert needs(convolutions=True) > needs()
    assert needs(optimizer=Optimizer.ADAMW_8BIT) < needs() < needs(optimizer=Optimizer.PRODIGY)
    full = estimate(LARGE, LargeConfig(), torch.float32, GPU).total
    assert needs() < full == estimate(LARGE, LargeConfig(), torch.float32, CPU).total + 700_000_000


@pytest.mark.parametrize(
    ("gigabytes", "batch", "checkpointed", "tiles"),
    [(60, 4, False, False), (20, 1, False, False), (12, 2, True, False), (8.5, 1, True, True)],
)
def test_the_fastest_settings_that_fit_are_found_and_learn_from_as_many_pictures(
    gigabytes: float, batch: int, *, checkpointed: bool, tiles: bool
) -> None:
    config = LargeConfig(batch_size=4, gradient_accumulation=2)
    room = int(gigabytes * 1e9)
    found = nearest_that_fits(LARGE, config, torch.float16, GPU, room)
    assert found is not None
    changed, need = found
    assert (changed.batch_size, changed.gradient_checkpointing) == (batch, checkpointed)
    assert (changed.vae_tiles, changed.pictures_per_step) == (tiles, 8)
    assert need.total <= room
    assert nearest_that_fits(LARGE, config, torch.float16, GPU, 5_000_000_000) is None


def test_too_little_room_is_refused_with_what_would_fit(bases: dict[str, Path]) -> None:
    components = load("sd15", bases["sd15"])
    config = TrainConfig(batch_size=8)
    told = require_room(components, config, 1 << 30)
    assert "training takes about" in told
    assert "there" in told
    with pytest.raises(StageError) as caught:
        require_room(components, config, 40_000_000)
    assert caught.value.code == "memory-too-small"
    assert "Batch_size 4 with gradient_accumulation 2 needs" in caught.value.remedy
    with pytest.raises(StageError, match="Even batch_size 1 with") as caught:
        require_room(components, config, 0)
    assert "more memory" in caught.value.remedy
    assert "there" not in require_room(components, config, None)


def test_a_stage_that_would_not_fit_is_refused_before_it_starts(
    bases: dict[str, Path], face: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "free_on", lambda _device: 10)
    report = Memory()
    context = make_context(tmp_path, train_lora.Params(), {"faces": [face]}, report=report)
    with pytest.raises(StageError) as caught:
        train_lora.run(context, bases["sd15"])
    assert caught.value.code == "memory-too-small"
    assert not report.measured


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    assert free.free_of_group(tmp_path) is None
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 100\n")
    assert free.free_of_group(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000\n")
    assert free.free_of_group(tmp_path) == 400
    known = free.free_on(CPU)
    assert known is not None
    assert 0 < known < 1 << 50


FEW = {"steps": 3, "batch_size": 4, "rank": 2, "sample_every": 0, "checkpoint_every": 1}


class Narrow:
    """Runs out of memory while training, with more than so many pictures at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int, error: Exception) -> None:
        self.room, self.error, self.refused = room, error, 0
        whole = LoraTrainer._learn

        def learn(trainer: LoraTrainer, piece: Lesson) -> torch.Tensor:
            learned = whole(trainer, piece)
            if len(piece.told) > self.room:
                # After the gradients, so that what is left of them would be seen.
                self.refused += 1
                raise self.error
            return learned

        monkeypatch.setattr(LoraTrainer, "_learn", learn)


ERRORS = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("could not create a primitive"),
)


def train(base: Path, context: StageContext) -> StageResult:
    """The stage, but for pictures before and after that are drawn in a few steps."""
    few = SamplingConfig(steps=2, guidance=1.0)
    return stage.train(context, replace(MINI, sampling=few, preview=few), base)


def test_memory_that_runs_out_makes_batches_smaller_and_the_lesson_stays_the_same(
    bases: dict[str, Path], face: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = train_lora.Params.model_validate(FEW)
    whole = train(bases["sd15"], make_context(tmp_path / "a", params, {"faces": [face]}))
    narrow = Narrow(monkeypatch, 1, ERRORS[0])
    report = Memory()
    context = make_context(tmp_path / "b", params, {"faces": [face]}, report=report)
    result = train(bases["sd15"], context)
    assert narrow.refused == 2
    warnings = [text for level, text in report.said_lines if level is Level.WARNING]
    assert [text.partition(":")[0] for text in warnings] == ["memory ran out at step 1"] * 2
    assert "1 pictures at once" in warnings[-1]
    expected, found = (
        json.loads(one.outputs["report"][0].read_text())["loss"] for one in (whole, result)
    )
    assert found == pytest.approx(expected, rel=1e-3)
    tensors = [load_file(one.outputs["lora"][0]) for one in (whole, result)]
    for name, each in tensors[0].items():
        assert torch.allclose(each, tensors[1][name], atol=2e-3), name
    # The next attempt does not run into it again.
    kept, _ = report.checkpoints[0]
    again = make_context(tmp_path / "c", params, {"faces": [face]}, resume=kept)
    train(bases["sd15"], again)
    assert narrow.refused == 2


def test_a_sample_that_does_not_fit_does_not_end_the_training(
    bases: dict[str, Path], face: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise ERRORS[0]

    monkeypatch.setattr(telling, "sample", refuse)
    params = train_lora.Params.model_validate({**FEW, "batch_size": 1, "sample_every": 2})
    report = Memory()
    context = make_context(tmp_path, params, {"faces": [face]}, report=report)
    assert train(bases["sd15"], context).metrics["steps"] == 3
    assert (Level.WARNING, "no memory for a sample at step 2") in report.said_lines
    assert [step for *_, step in report.samples] == [0, 3]


def test_when_one_picture_does_not_fit_the_stage_says_what_to_do(
    bases: dict[str, Path], face: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Narrow(monkeypatch, 0, MemoryError())
    params = train_lora.Params.model_validate(FEW)
    with pytest.raises(StageError, match="gradient_checkpointing") as caught:
        train(bases["sd15"], make_context(tmp_path, params, {"faces": [face]}))
    assert caught.value.code == "memory-exhausted"
    assert isinstance(caught.value.__cause__, MemoryExhaustedError)


def test_want_of_memory_is_known_by_type_or_word_and_other_errors_are_not() -> None:
    assert all(map(ran_out, ERRORS))
    assert not ran_out(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not ran_out(ValueError("not enough memory"))


class Torn(torch.autograd.Function):
    """Has no way back."""

    @staticmethod
    def forward(_ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(_ctx: Any, _gradient: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError


def test_what_a_failed_backward_pass_would_have_needed_is_given_back() -> None:
    x = torch.ones(8, requires_grad=True)
    kept = x.exp()
    alive = weakref.ref(kept)
    with pytest.raises(torch.OutOfMemoryError):
        # The way that fails is the first of two: what the other one needs has its turn later.
        (kept.sin().sum() + Torn.apply(x.cos()).sum()).backward()
    del kept
    gc.collect()
    assert alive() is not None
    give_back(CPU)
    assert alive() is None


class Recorder(torch.nn.Module):
    """Remembers where it was moved."""

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[str] = []

    def to(self, place: Any) -> Recorder:  # type: ignore[override]
        self.moves.append(str(place))
        return self


def test_models_that_rest_come_to_the_device_and_go_again(bases: dict[str, Path]) -> None:
    components = load("sd15", bases["sd15"])
    model, other = Recorder(), Recorder()
    resting = replace(components, resting=(components.vae, model), device=GPU)
    with contextlib.suppress(KeyError), resting.at_work(model, other):
        assert model.moves == ["cuda"]
        raise KeyError
    assert (model.moves, other.moves) == (["cuda", "cpu"], [])
    staying, whole = footprint_of(resting), footprint_of(components)
    assert staying.weights + staying.coming == whole.weights


def test_what_is_trained_does_not_rest() -> None:
    assert SdxlConfig().resting == {Part.VAE, Part.TEXT}
    assert SdxlConfig(text_encoder=True).resting == {Part.VAE}
    assert SdxlPortraitConfig().resting == set(Part)
    assert not SdxlConfig(offload=False).resting | SdxlPortraitConfig(offload=False).resting


def test_real_want_of_memory_is_survived(tmp_path: Path) -> None:
    """A process that may not have more memory than it needs for one picture at a time."""
    program = Path(__file__).with_name("lora_narrow_support.py")
    done = subprocess.run(
        [sys.executable, str(program), str(write_random_base(tmp_path, channels=64))],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["losses"] == 1
    assert told["smaller"]
    assert all(pictures < 32 for pictures in told["smaller"])
