"""Training of the GPT on the clip: low-rank changes of its attention, on its own loss.

Everything random in a step follows from the seed and the step's number, so a training that goes on
from a checkpoint makes the same numbers as one that was never stopped.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
import torchaudio
import weights
from clip import RATE
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from telling import UnusableError
from torch.nn.utils import parametrize

_TARGETS = ("c_attn", "c_proj")
_TEXT_WEIGHT = 0.01
"""How much the words count beside the sound, as in Coqui's own recipe."""
_PROMPT_S = (1.0, 6.0)
_MOMENTS = ("exp_avg", "exp_avg_sq")


class LowRank(torch.nn.Module):
    """W + A B, with B zero at first (Hu et al. 2021); W is (inputs, outputs) as GPT-2 has it."""

    def __init__(self, weight, rank, generator):
        super().__init__()
        inputs, outputs = weight.shape
        first = torch.randn(inputs, rank, generator=generator) / inputs**0.5
        self.a = torch.nn.Parameter(first.to(weight.device))
        self.b = torch.nn.Parameter(torch.zeros(rank, outputs, device=weight.device))

    def forward(self, weight):
        """The changed weight."""
        return weight + self.a @ self.b


@dataclass(frozen=True)
class Lesson:
    """The clip as the GPT learns it: text (1, N), codes (1, M) of its sound, samples (1, S)."""

    text: torch.Tensor
    codes: torch.Tensor
    samples: torch.Tensor


@dataclass(frozen=True)
class Plan:
    """How to train."""

    steps: int
    rank: int
    learning_rate: float
    checkpoint_every: int
    seed: int


def prepare(model, codec, samples, ids):
    """A lesson of samples (1, S) at 22050 Hz and the tokens of what is said in them.

    As much of the clip as fits: a transcript of more than that does not match its sound.
    """
    if len(ids) >= model.args.gpt_max_text_tokens:
        raise UnusableError(
            "transcript-too-long",
            f"the transcript has {len(ids)} tokens, at most {model.args.gpt_max_text_tokens - 1}"
            " are learnt at once",
            "Give a shorter clip with its transcript",
        )
    longest = (model.args.gpt_max_audio_tokens - 4) * model.gpt.code_stride_len
    if samples.shape[1] > longest:
        raise UnusableError(
            "clip-too-long",
            f"the voice clip takes {samples.shape[1] / RATE:.0f} s, at most {longest / RATE:.0f} s"
            " are learnt",
            "Give a shorter clip with its transcript",
        )
    samples = samples.to(model.device)
    with torch.no_grad():
        codes = codec.get_codebook_indices(_mel(model, samples, 1024))
    return Lesson(torch.tensor([ids], device=model.device), codes, samples)


def train(model, lesson, plan, *, resume, scratch, asked, say):
    """The trained tensors by name. `resume` is a checkpoint's folder, or None.

    `asked()` tells whether a checkpoint is wanted now; `say` hears of losses and checkpoints.
    """
    model.requires_grad_(False)
    adapters = _attach(model, plan)
    names = [f"{name}.{part}" for name in adapters for part in ("a", "b")]
    parameters = dict(
        zip(names, (p for each in adapters.values() for p in each.parameters()), strict=True)
    )
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=plan.learning_rate, betas=(0.9, 0.96), weight_decay=0.01
    )
    done = _restore(resume, parameters, optimizer, plan) if resume else 0
    model.gpt.train()
    for step in range(done, plan.steps):
        loss_text, loss_sound = _loss(model, lesson, plan.seed, step)
        optimizer.zero_grad()
        (_TEXT_WEIGHT * loss_text + loss_sound).backward()
        optimizer.step()
        number = step + 1
        say("line", values={"loss": float(loss_sound), "loss_text": float(loss_text)}, step=number)
        say("progress", done=number, total=plan.steps + 1, unit="step")
        wanted = asked()
        if number < plan.steps and (wanted or number % plan.checkpoint_every == 0):
            folder = _checkpoint(scratch, number, parameters, optimizer, plan)
            say("checkpoint", directory=str(folder), step=number)
    trained = {name: each.detach().cpu().clone() for name, each in parameters.items()}
    _detach(model)
    model.eval()
    return trained


def merge(model, trained):
    """Change a model's weights by what was trained; UnusableError if it does not fit."""
    modules = dict(_modules(model))
    for name in {each.rpartition(".")[0] for each in trained}:
        try:
            change = trained[f"{name}.a"] @ trained[f"{name}.b"]
            with torch.no_grad():
                modules[name].weight += change.to(model.device)
        except (KeyError, RuntimeError) as error:
            raise UnusableError(
                "voice-unusable", "what was trained does not fit the weights", "Train it again"
            ) from error


def _loss(model, lesson, seed, step):
    """Cross entropies of text and codes, with another part of the clip as the prompt each step."""
    weights.seed_all(seed * 1_000_003 + step)
    total = lesson.samples.shape[1]
    shortest, longest = (min(round(each * RATE), total) for each in _PROMPT_S)
    length = int(torch.randint(shortest, longest + 1, ()))
    first = int(torch.randint(0, total - length + 1, ()))
    prompt = _mel(model, lesson.samples[:, first : first + length], 2048)
    text_length = torch.tensor([lesson.text.shape[1]], device=model.device)
    sound_length = torch.tensor(
        [lesson.codes.shape[1] * model.gpt.code_stride_len], device=model.device
    )
    loss_text, loss_sound, _ = model.gpt(
        lesson.text, text_length, lesson.codes, sound_length, cond_mels=prompt[:, None]
    )
    return loss_text, loss_sound


def _mel(model, samples, window):
    """Mel spectrogram (1, 80, frames) as the GPT's prompt (2048) or the codec (1024) has it."""
    transform = torchaudio.transforms.MelSpectrogram(
        sample_rate=RATE,
        n_fft=window,
        hop_length=256,
        win_length=1024,
        f_max=8000,
        n_mels=80,
        norm="slaney",
    ).to(samples.device)
    mel = torch.log(torch.clamp(transform(samples), min=1e-5))
    return mel / model.mel_stats.to(samples.device)[None, :, None]


def _modules(model):
    for index, layer in enumerate(model.gpt.gpt.h):
        for target in _TARGETS:
            yield f"{index}.{target}", getattr(layer.attn, target)


def _attach(model, plan):
    generator = torch.Generator().manual_seed(plan.seed)
    adapters = {}
    for name, module in _modules(model):
        adapters[name] = LowRank(module.weight, plan.rank, generator)
        parametrize.register_parametrization(module, "weight", adapters[name])
    return adapters


def _detach(model):
    """The trained change becomes part of the weights."""
    for _, module in _modules(model):
        parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)


def _checkpoint(scratch, number, parameters, optimizer, plan):
    folder = Path(scratch) / f"step-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    tensors = {name: each.detach() for name, each in parameters.items()}
    for name, each in parameters.items():
        tensors |= {f"{name}.{moment}": optimizer.state[each][moment] for moment in _MOMENTS}
    save_file(
        {name: each.cpu().contiguous() for name, each in tensors.items()},
        folder / "state.safetensors",
    )
    (folder / "state.json").write_text(
        json.dumps({"step": number, "seed": plan.seed, "rank": plan.rank}), encoding="utf-8"
    )
    return folder


def _restore(folder, parameters, optimizer, plan):
    """Put a checkpoint's state in place; how many steps were done."""
    try:
        told = json.loads((Path(folder) / "state.json").read_bytes())
        tensors = load_file(Path(folder) / "state.safetensors")
        step = int(told["step"])
        if (told["seed"], told["rank"]) != (plan.seed, plan.rank):
            raise _unusable()
        with torch.no_grad():
            for name, each in parameters.items():
                each.copy_(tensors[name])
                optimizer.state[each] = {
                    "step": torch.tensor(float(step)),
                    **{m: tensors[f"{name}.{m}"].to(each.device) for m in _MOMENTS},
                }
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise _unusable() from error
    return step


def _unusable():
    return UnusableError(
        "checkpoint-unusable",
        "the checkpoint of the earlier attempt cannot be used",
        "Start the job again",
    )
