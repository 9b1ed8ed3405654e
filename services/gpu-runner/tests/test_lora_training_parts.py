"""The pure parts of a training: rates, the order of pictures, noise, optimizer, moving average."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from gpu_runner.engines.diffusion.checkpoint import BackgroundWriter
from gpu_runner.engines.diffusion.config import (
    LARGE_PRESETS,
    MINI_PRESETS,
    MiniConfig,
    Optimizer,
    PersonConfig,
    Precision,
    Presets,
    Schedule,
    Sd15Config,
    SdxlConfig,
    TrainConfig,
)
from gpu_runner.engines.diffusion.ema import MovingAverage
from gpu_runner.engines.diffusion.noise import Noising
from gpu_runner.engines.diffusion.optimizers import OptimizerUnavailableError, make_optimizer
from gpu_runner.engines.diffusion.order import generator_for, pictures_of_step
from gpu_runner.engines.diffusion.precision import number_format
from gpu_runner.engines.diffusion.prodigy import FIRST_DISTANCE, Prodigy
from gpu_runner.engines.diffusion.rates import rate_fraction
from gpu_runner.engines.mini import train_lora


@pytest.mark.parametrize(
    ("model", "presets"),
    [(MiniConfig, MINI_PRESETS), (Sd15Config, LARGE_PRESETS), (SdxlConfig, LARGE_PRESETS)],
)
def test_every_preset_is_valid_and_every_field_explained(
    model: type[PersonConfig], presets: Presets
) -> None:
    for preset in presets.values():
        model.model_validate(preset)
    fields = model.model_json_schema()["properties"]
    assert len(fields) > 20
    assert all(field.get("description") for field in fields.values())


def test_the_older_name_of_bfloat16_still_works() -> None:
    assert train_lora.Params(bfloat16=True).precision is Precision.BF16
    assert train_lora.Params().precision is Precision.AUTO


def test_an_unset_learning_rate_is_what_suits_base_and_optimizer() -> None:
    assert MiniConfig().peak_rate == 1e-3
    assert Sd15Config().peak_rate == 1e-4
    assert MiniConfig(optimizer=Optimizer.PRODIGY).peak_rate == 1
    assert MiniConfig(optimizer=Optimizer.PRODIGY, learning_rate=0.5).peak_rate == 0.5


@pytest.mark.parametrize(
    ("schedule", "middle", "end"),
    [
        (Schedule.CONSTANT, 1, 1),
        (Schedule.LINEAR, 0.5, 0),
        (Schedule.COSINE, 0.5, 0),
        (Schedule.COSINE_RESTARTS, 1, 0),
    ],
)
def test_rates_warm_up_and_follow_their_schedule(
    schedule: Schedule, middle: float, end: float
) -> None:
    config = TrainConfig(steps=110, warmup_steps=10, schedule=schedule, final_rate=0)
    assert rate_fraction(1, config) == pytest.approx(0.1)
    assert rate_fraction(10, config) == 1
    assert rate_fraction(60, config) == pytest.approx(middle)
    assert rate_fraction(110, config) == pytest.approx(end)


def test_a_rate_ends_at_the_part_that_was_asked_for() -> None:
    config = TrainConfig(steps=100, warmup_steps=0, final_rate=0.1)
    assert rate_fraction(100, config) == pytest.approx(0.1)


def test_every_picture_comes_once_a_round_and_rounds_differ() -> None:
    numbers = [
        number
        for step in range(1, 16)
        for number in pictures_of_step(seed=7, step=step, per_step=4, total=10).tolist()
    ]
    rounds = [numbers[start : start + 10] for start in range(0, 60, 10)]
    assert all(Counter(each) == Counter(range(10)) for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1


def test_random_numbers_belong_to_seed_purpose_and_number() -> None:
    def draw(*key: object) -> list[float]:
        return torch.rand(4, generator=generator_for(*key)).tolist()

    assert draw(1, "step", 2) == draw(1, "step", 2)
    assert len({tuple(draw(*key)) for key in [(1, "step", 2), (2, "step", 2), (1, "round", 2)]}) > 2


def test_an_offset_shifts_the_noise_of_whole_channels() -> None:
    schedule = DDIMScheduler(prediction_type="epsilon")
    latents = torch.zeros(64, 4, 16, 16)

    def spread(offset: float) -> float:
        asked = Noising(schedule, 0, offset).ask(latents, generator_for(1, "step", 1))
        return asked.target.mean((2, 3)).std().item()

    assert spread(0) == pytest.approx(1 / 16, rel=0.2)
    assert spread(0.5) == pytest.approx(0.5, rel=0.2)


def test_min_snr_weighs_as_the_paper_says() -> None:
    times = torch.tensor([0, 500, 999])
    for kind in ("epsilon", "v_prediction"):
        schedule = DDIMScheduler(prediction_type=kind)
        kept = schedule.alphas_cumprod[times]
        snr = kept / (1 - kept)
        expected = torch.minimum(snr, torch.tensor(5.0)) / (snr + (kind == "v_prediction"))
        assert torch.allclose(Noising(schedule, 5, 0).weights(times), expected)
        assert torch.equal(Noising(schedule, 0, 0).weights(times), torch.ones(3))


def test_prodigy_finds_the_learning_rate_by_itself() -> None:
    torch.manual_seed(0)
    goal = torch.randn(50)
    weight = torch.nn.Parameter(torch.zeros(50))
    optimizer = Prodigy([weight])
    for _ in range(300):
        loss = (weight - goal).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert optimizer.distance > 1000 * FIRST_DISTANCE
    assert loss.item() < 1e-3


def test_prodigy_follows_the_algorithm_of_the_paper() -> None:
    """Algorithm 4 in plain numbers for one weight, with bias correction, rate 1, two steps."""
    gradients, start = [0.5, -0.25], 2.0
    weight = torch.nn.Parameter(torch.tensor([start], dtype=torch.float64))
    optimizer = Prodigy([weight])
    d, r, s, m, v, x = FIRST_DISTANCE, 0.0, 0.0, 0.0, 0.0, start
    for number, g in enumerate(gradients, start=1):
        weight.grad = torch.tensor([g], dtype=torch.float64)
        optimizer.step()
        rate = (1 - 0.999**number) ** 0.5 / (1 - 0.9**number)
        r = 0.999**0.5 * r + rate * d * d * g * (start - x)
        s = 0.999**0.5 * s + d * d * g
        m = 0.9 * m + 0.1 * d * g
        v = 0.999 * v + 0.001 * d * d * g * g
        x -= rate * d * m / (v**0.5 + d * 1e-8)
        d = max(d, r / abs(s))
        assert weight.item() == pytest.approx(x, rel=1e-12)
        assert optimizer.distance == pytest.approx(d, rel=1e-12)


def test_8_bit_adamw_without_its_package_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    weight = torch.nn.Parameter(torch.zeros(2))
    with pytest.raises(OptimizerUnavailableError, match="bitsandbytes"):
        make_optimizer([([weight], 1.0)], TrainConfig(optimizer=Optimizer.ADAMW_8BIT))


def test_a_moving_average_lends_itself_and_gives_the_weights_back() -> None:
    weight = torch.nn.Parameter(torch.zeros(3))
    average = MovingAverage([weight], decay=0.9)
    with torch.no_grad():
        weight.fill_(1.0)
    average.follow(1)
    with average.worn():
        assert torch.allclose(weight, torch.full((3,), 0.9))
    assert torch.equal(weight, torch.ones(3))
    average.follow(1000)
    average.wear()
    assert torch.allclose(weight, torch.full((3,), 0.91))


def test_on_a_processor_auto_means_float32() -> None:
    assert number_format(Precision.AUTO, torch.device("cpu")) is torch.float32
    assert number_format(Precision.FP16, torch.device("cpu")) is torch.float16


def test_what_a_writer_could_not_write_is_raised_at_the_next_call(tmp_path: Path) -> None:
    writer = BackgroundWriter()
    writer.submit((tmp_path / "missing" / "file").touch)
    with pytest.raises(FileNotFoundError):
        writer.wait()
    writer.close()
