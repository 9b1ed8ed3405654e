"""Prior preservation: the base goes on drawing other people as it did."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from gpu_runner.engines.diffusion import lora
from gpu_runner.engines.diffusion.components import Components, encode_prompts, load_components
from gpu_runner.engines.diffusion.config import MiniConfig, TrainConfig
from gpu_runner.engines.diffusion.examples import Examples
from gpu_runner.engines.diffusion.hooks import Hooks
from gpu_runner.engines.diffusion.lessons import Lessons
from gpu_runner.engines.diffusion.noise import Noising
from gpu_runner.engines.diffusion.stages.lessons import make_examples, make_prior
from gpu_runner.engines.diffusion.trainer import LoraTrainer
from gpu_runner.engines.mini.base import BASE
from gpu_runner.engines.mini.traits import MINI
from gpu_runner.faces.crop_files import read_scene
from gpu_runner.faces.scenes import Scene
from mini_support import write_face, write_random_base

SILENT = Hooks(lambda *_: None, lambda *_: None, lambda *_: None)


@pytest.fixture(scope="module")
def random_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_base(tmp_path_factory.mktemp("base"))


def some(components: Components, prompts: list[str], seed: int, count: int = 3) -> Examples:
    latents = torch.randn(count, 4, 16, 16, generator=torch.Generator().manual_seed(seed))
    return Examples((latents,), encode_prompts(components, prompts))


def test_a_step_learns_as_many_of_others_which_weigh_what_was_asked(random_base: Path) -> None:
    components = load_components(random_base, "cpu")
    person, others = some(components, ["a", "b"], 1), some(components, ["c"], 2)
    config = TrainConfig(batch_size=2, gradient_accumulation=2, prior_weight=0.25)
    noising = Noising(components.schedule, 0, 0)
    (alone,) = Lessons(person, None, noising, config, 7).of_step(3)
    own, of_others = Lessons(person, others, noising, config, 7).of_step(3)
    assert len(own.told) == len(of_others.told) == len(of_others.questions.noisy) == 4
    # Whether there are others changes nothing about what is learned of the person.
    for name in ("noisy", "times", "target", "weights"):
        assert torch.equal(getattr(own.questions, name), getattr(alone.questions, name)), name
    assert torch.equal(own.told.words, alone.told.words)
    assert torch.equal(of_others.told.words, others.words.expand(4, -1, -1))
    assert own.questions.weights.tolist() == [1.0] * 4
    assert of_others.questions.weights.tolist() == [0.25] * 4
    unweighed = config.model_copy(update={"prior_weight": 0.0})
    (nothing,) = Lessons(person, others, noising, unweighed, 7).of_step(3)
    assert torch.equal(nothing.questions.noisy, alone.questions.noisy)


def test_a_resumed_training_with_others_ends_with_the_same_bits(
    random_base: Path, tmp_path: Path
) -> None:
    config = MiniConfig(steps=4, batch_size=2, rank=2, prior_weight=1, prior_pictures=3)

    def trainer() -> tuple[Components, LoraTrainer]:
        components = load_components(random_base, "cpu")
        prior = make_prior(components, config, MINI, 5)
        return components, LoraTrainer(
            components.unet,
            components.schedule,
            some(components, ["a"], 1),
            config,
            seed=5,
            prior=prior,
        )

    at_once, through = trainer()
    kept = tmp_path / "2"
    through.run(
        Hooks(
            lambda *_: None,
            lambda *_: None,
            lambda step, save: save(tmp_path / str(step)),
            lambda: len(through._losses) == 2,
        )
    )
    in_two, resumed = trainer()
    assert resumed.resume(kept) == 2
    resumed.run(SILENT)
    expected, made = lora.weights(at_once.unet), lora.weights(in_two.unet)
    assert all(torch.equal(made[name], each) for name, each in expected.items())


def test_without_the_trigger_word_the_base_draws_more_as_before(tmp_path: Path) -> None:
    photo = read_scene(write_face(tmp_path))
    strayed = [_strayed(photo, weight) for weight in (0.0, 1.0)]
    assert strayed[1] < 0.8 * strayed[0]


def _strayed(photo: Scene, weight: float) -> float:
    """How far answers about anybody are from the base's own, after a person was learned."""
    components = load_components(BASE, "cpu")
    config = MiniConfig(
        steps=10, batch_size=2, learning_rate=3e-3, flip=False, prior_weight=weight,
        prior_pictures=4,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(11)
    noisy = torch.randn(4, 16, 16, 16, generator=generator)
    anybody = encode_prompts(components, ["portrait"]).expand(4, -1, -1)

    @torch.no_grad()
    def answers() -> torch.Tensor:
        times = torch.tensor([200, 400, 600, 800])
        said: torch.Tensor = components.unet(noisy, times, anybody, return_dict=False)[0]
        return said

    before = answers()
    trainer = LoraTrainer(
        components.unet,
        components.schedule,
        make_examples(components, [photo], ["portrait, sks"], config, MINI),
        config,
        seed=5,
        prior=make_prior(components, config, MINI, 5),
    )
    trainer.run(SILENT)
    return float((answers() - before).square().mean())
