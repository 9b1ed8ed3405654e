"""The short way through an adapter's layers against peft's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from gpu_runner.engines.diffusion import lora
from gpu_runner.engines.diffusion.components import load_components
from mini_support import write_random_base


@pytest.fixture(scope="module")
def random_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_base(tmp_path_factory.mktemp("base"))


def adapted(base: Path, *, as_peft: bool, dora: bool = False) -> UNet2DConditionModel:
    unet = load_components(base, "cpu").unet
    lora.attach(unet, 4, 8, 1, dora=dora)
    generator = torch.Generator().manual_seed(2)
    for weight in unet.parameters():
        if weight.requires_grad:
            weight.data = torch.randn(weight.shape, generator=generator) / 10
    if as_peft:
        for layer in unet.modules():
            layer.__dict__.pop("forward", None)
    return unet


def answer(
    unet: UNet2DConditionModel, *, halved: bool = False
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """What a UNet says, and the gradients of all that is trained."""
    generator = torch.Generator().manual_seed(3)
    noisy = torch.randn(2, 4, 16, 16, generator=generator)
    words = torch.randn(2, 16, 32, generator=generator)
    with torch.autocast("cpu", torch.bfloat16, enabled=halved):
        said = unet(noisy, torch.tensor([10, 900]), words, return_dict=False)[0]
    said.float().square().mean().backward()
    return said.detach(), {
        name: weight.grad for name, weight in unet.named_parameters() if weight.grad is not None
    }


def test_answers_and_gradients_are_those_of_peft(random_base: Path) -> None:
    short = adapted(random_base, as_peft=False)
    said, gradients = answer(short)
    expected, slopes = answer(adapted(random_base, as_peft=True))
    torch.testing.assert_close(said, expected, rtol=1e-4, atol=1e-5)
    assert gradients.keys() == slopes.keys()
    assert {name.split(".")[-3] for name in gradients} == {"lora_A", "lora_B"}
    for name, gradient in gradients.items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(gradient, slopes[name], rtol=1e-3, atol=1e-6, msg=name)


def test_an_adapter_acts_unless_it_is_turned_off(random_base: Path) -> None:
    noise, words = torch.ones(1, 4, 16, 16), torch.ones(1, 16, 32)

    @torch.no_grad()
    def drawn(unet: UNet2DConditionModel) -> torch.Tensor:
        said: torch.Tensor = unet(noise, 500, words, return_dict=False)[0]
        return said

    unet = adapted(random_base, as_peft=False)
    plain = drawn(load_components(random_base, "cpu").unet)
    own = drawn(unet)
    assert (own - plain).abs().max() > 0.01
    with lora.turned_off(unet):
        assert torch.equal(drawn(unet), plain)
    assert torch.equal(drawn(unet), own)


def test_gradient_checkpointing_changes_nothing(random_base: Path) -> None:
    kept, sparing = (adapted(random_base, as_peft=False).train() for _ in range(2))
    sparing.enable_gradient_checkpointing()
    expected, slopes = answer(kept)
    said, gradients = answer(sparing)
    assert torch.equal(said, expected)
    assert all(torch.equal(gradients[name], slope) for name, slope in slopes.items())


def test_half_precision_is_left_to_peft(random_base: Path) -> None:
    said, _ = answer(adapted(random_base, as_peft=False), halved=True)
    expected, _ = answer(adapted(random_base, as_peft=True), halved=True)
    assert torch.equal(said, expected)


def test_layers_with_dora_stay_as_they_are(random_base: Path) -> None:
    said, _ = answer(adapted(random_base, as_peft=False, dora=True))
    expected, _ = answer(adapted(random_base, as_peft=True, dora=True))
    assert torch.equal(said, expected)
