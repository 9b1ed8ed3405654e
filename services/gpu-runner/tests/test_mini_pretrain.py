"""The pretraining: exact codec and words, pictures, plans, and a training that no kill changes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from figure_support import egghead
from gpu_runner.engines.mini.base import BASE
from torch.nn import functional

pytestmark = pytest.mark.long
HERE = Path(__file__).parents[1]
TINY = {
    "workers": 1,
    "pictures": 20,
    "codec_steps": 6,
    "batch": 2,
    "log_every": 1,
    "checkpoint_every": 2,
    "sample_every": 6,
}
KILLED = """
import sys
from pathlib import Path
from test_mini_pretrain import train_tiny
train_tiny(Path(sys.argv[1]))
"""


@pytest.fixture(autouse=True)
def _pretrain_in_reach() -> Iterator[None]:
    sys.path.insert(0, str(HERE))
    yield
    sys.path.remove(str(HERE))


def train_tiny(work: Path) -> Any:
    """Trains a codec for six steps on drawn noise; what a killed run and a whole one both do."""
    sys.path.insert(0, str(HERE))
    from pretrain import codec
    from pretrain.crew import run
    from pretrain.plan import Plan
    from pretrain.training import train

    plan = Plan(**TINY)
    images = np.random.default_rng(0).integers(0, 256, (72, 64, 64, 3), dtype=np.uint8)
    made = []
    run(
        lambda crew: made.append(
            train(crew, codec.CodecTask(codec.fit(images[:8], seed=1), images, plan), plan, work)
        ),
        1,
    )
    return made[0].state_dict()


def test_the_encoder_is_the_principal_components_of_patches() -> None:
    from pretrain.codec import LATENT_CHANNELS, fit, photo_patches, psnr, to_tensor

    images = photo_patches(40, 64, seed=1)
    codec = fit(images, seed=1)
    pixels = to_tensor(images)
    with torch.no_grad():
        latents = codec.encode(pixels).latents
    flat = latents.permute(1, 0, 2, 3).reshape(LATENT_CHANNELS, -1)
    correlation = torch.corrcoef(flat) - torch.eye(LATENT_CHANNELS)
    assert correlation.abs().max() < 0.02
    patches = functional.pixel_unshuffle(pixels, 4).permute(0, 2, 3, 1).reshape(-1, 48)
    known = torch.cat([flat.T, torch.ones(len(patches), 1)], dim=1)
    inverse = torch.linalg.lstsq(known, patches).solution
    lost = (patches - known @ inverse).square().mean()
    values = torch.linalg.eigvalsh(torch.cov(patches.T.double()))
    assert lost.item() == pytest.approx(values[:-LATENT_CHANNELS].sum().item() / 48, rel=0.02)
    assert psnr(patches, known @ inverse) > 28


def test_the_decoder_starts_as_the_exact_inverse_of_the_encoder() -> None:
    from pretrain.codec import fit, photo_patches, to_tensor

    images = photo_patches(40, 64, seed=1)
    codec = fit(images, seed=1)
    pixels = to_tensor(images[:8])
    with torch.no_grad():
        latents = codec.encode(pixels).latents
        decoded = codec.decode(latents).sample
    # What the projection keeps it gives back unchanged: a second time round nothing is lost.
    with torch.no_grad():
        again = codec.decode(codec.encode(decoded).latents).sample
    assert (again - decoded).abs().max() < 0.02
    patches = functional.pixel_unshuffle(pixels, 4).permute(0, 2, 3, 1).reshape(-1, 48)
    flat = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
    known = torch.cat([flat, torch.ones(len(patches), 1)], dim=1)
    best = known @ torch.linalg.lstsq(known, patches).solution
    painted = functional.pixel_unshuffle(decoded, 4).permute(0, 2, 3, 1).reshape(-1, 48)
    assert (patches - painted).square().mean() < 1.15 * (patches - best).square().mean()


def test_a_decoder_too_narrow_for_the_inverse_is_refused() -> None:
    from diffusers import AutoencoderTiny
    from pretrain.inverse import write_inverse

    codec = AutoencoderTiny(latent_channels=16, decoder_block_out_channels=(32, 32, 32, 32))
    with pytest.raises(ValueError, match="needs 51 channels"):
        write_inverse(codec, torch.zeros(48, 16), torch.zeros(48))


def test_a_training_killed_at_any_moment_ends_with_the_same_bits(tmp_path: Path) -> None:
    from pretrain import journal
    from pretrain.training import checkpoints

    work, folder = tmp_path / "killed", tmp_path / "killed/checkpoints/codec"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(work)], env=environment, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not checkpoints(folder) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoints(folder), "killed before its first checkpoint"
    whole, resumed = train_tiny(tmp_path / "whole"), train_tiny(work)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    lines = [journal.read(path / "codec.jsonl") for path in (work, tmp_path / "whole")]
    steps = [[(entry["step"], entry["loss"]) for entry in entries] for entries in lines]
    assert steps[0] == steps[1]
    assert [step for step, _ in steps[0]] == [1, 2, 3, 4, 5, 6]
    grids = [sorted((path / "samples").glob("*.png")) for path in (work, tmp_path / "whole")]
    assert [grid.read_bytes() for grid in grids[0]] == [grid.read_bytes() for grid in grids[1]]


def test_the_denoiser_goes_on_from_a_checkpoint_with_the_same_bits(tmp_path: Path) -> None:
    from pretrain.codec import fit
    from pretrain.crew import Crew
    from pretrain.dataset import Dataset
    from pretrain.denoiser import HELD_OUT, DenoiserTask, fit_tokenizer
    from pretrain.plan import Plan
    from pretrain.training import Draw, Training

    count = HELD_OUT + 4
    images = np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)
    dataset = Dataset(images, [["toon head style", "glasses"]] * count, np.zeros(count, bool))
    plan = Plan(**TINY, channels=(16, 16, 32))
    codec, tokenizer = fit(images[:8], seed=1), fit_tokenizer(dataset, seed=1)

    def go(training: Training, until: int) -> dict[str, torch.Tensor]:
        while training.step < until:
            training.advance(Draw(plan.seed, 2, training.step, 0), Crew(0, 1))
        return training.averaged.state_dict()

    whole = go(Training(DenoiserTask(dataset, codec, tokenizer, plan)), 3)
    first = Training(DenoiserTask(dataset, codec, tokenizer, plan))
    go(first, 2)
    first.save(tmp_path)
    second = Training(DenoiserTask(dataset, codec, tokenizer, plan))
    second.resume(tmp_path)
    assert second.step == 2
    resumed = go(second, 3)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_checkpoint_half_written_is_not_taken_for_one(tmp_path: Path) -> None:
    from pretrain.files import replaced
    from pretrain.training import checkpoints

    (tmp_path / ".step-0000004.pt.part").write_bytes(b"half")
    assert checkpoints(tmp_path) == []

    def fail() -> None:
        with replaced(tmp_path / "step-0000004.pt") as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        fail()
    assert checkpoints(tmp_path) == []


def test_a_run_is_not_continued_under_another_plan(tmp_path: Path) -> None:
    from pretrain.plan import Plan, PlanError

    Plan(**TINY).bind(tmp_path)
    Plan(**{**TINY, "checkpoint_every": 4}).bind(tmp_path)
    with pytest.raises(PlanError, match=r"seed 20262 \(not 7\)"):
        Plan(**TINY, seed=7).bind(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"batch": 0}, "batch: too small"),
        ({"seed": -1}, "seed: too small"),
        ({"batch": 3, "workers": 2}, "cannot be shared"),
        ({"checkpoint_every": 3, "log_every": 2, "sample_every": 2}, "steps that are logged"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(wrong: dict[str, int], words: str) -> None:
    from pretrain.plan import Plan, PlanError

    with pytest.raises(PlanError, match=words):
        Plan(**{**TINY, **wrong})


def test_the_rate_depends_on_the_step_alone() -> None:
    from pretrain.training import WARM_UP, rate

    assert rate(0, 1000, 1.0) < 0.01
    assert rate(WARM_UP, 100_000, 1.0) == pytest.approx(1, rel=0.001)
    assert rate(999, 1000, 1.0) == pytest.approx(0.02, rel=0.01)


def test_pictures_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    from pretrain.crew import Crew
    from pretrain.dataset import SIDE, draw_chunks, join_chunks
    from pretrain.plan import Plan

    figure, plan = egghead(), Plan(seed=2, pictures=40)
    draw_chunks(Crew(0, 1), figure, plan, tmp_path / "alone", size=10)
    for rank in (1, 0):
        draw_chunks(Crew(rank, 2), figure, plan, tmp_path / "together", size=10)
    alone, together = join_chunks(tmp_path / "alone"), join_chunks(tmp_path / "together")
    assert np.array_equal(alone.images, together.images)
    assert alone.captions == together.captions
    assert alone.images.shape == (40, SIDE, SIDE, 3)
    assert 0 < alone.is_photo.sum() < 20


def test_a_drawing_with_glasses_is_said_to_have_them() -> None:
    from pretrain.avatars import STYLES, draw

    for card in STYLES:
        if card.glasses:
            with_glasses, phrases = draw(card, 1, "#5b8def", glasses=True)
            assert "glasses" in phrases
            assert phrases[-1] == "blue background"
            plain = [draw(card, number, "#5b8def") for number in range(1, 6)]
            assert all(
                not np.array_equal(with_glasses, picture)
                for picture, said in plain
                if "glasses" not in said
            )


def test_only_free_styles_are_drawn() -> None:
    from pretrain.avatars import STYLES
    from pretrain.photographs import PHOTOGRAPHS

    licences = {item.licence for item in (*STYLES, *PHOTOGRAPHS)}
    assert licences <= {"CC0", "CC0 1.0", "CC BY 4.0", "CC BY 2.0", "public domain"}
    assert sum(card.share for card in STYLES) == pytest.approx(1)


def test_a_style_is_listed_under_the_licence_that_it_states() -> None:
    from importlib.resources import files

    from pretrain.avatars import STYLES

    for card in STYLES:
        text = files("dicebear_styles").joinpath(f"{card.name}.json").read_text("utf-8")
        assert json.loads(text)["meta"]["license"]["name"] == card.licence


def test_words_of_captions_are_whole_tokens_and_others_survive() -> None:
    from pretrain.language import TRIGGER, make_tokenizer

    tokenizer = make_tokenizer(["portrait, toon head style", "red hair, glasses"])
    assert tokenizer.tokenize(f"portrait, {TRIGGER}") == ["portrait</w>", ",</w>", f"{TRIGGER}</w>"]
    assert tokenizer.unk_token not in tokenizer.tokenize("zürich 7")


def test_the_shipped_base_is_small_and_names_its_sources() -> None:
    from pretrain.avatars import STYLES

    files = [file for file in BASE.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 30_000_000
    assert {file.suffix for file in files} <= {".json", ".safetensors", ".md"}
    card = (BASE / "README.md").read_text()
    assert all(style.author in card and style.licence in card for style in STYLES)
