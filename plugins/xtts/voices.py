"""A voice as it is kept: the latents that XTTS takes from a clip, and what was trained, if it was.

One safetensors file; what is said of it stands in its header as JSON. No code is in it.
"""

import json
from dataclasses import dataclass, field

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from telling import UnusableError

FORMAT = "myspinbot-xtts-voice-1"
_TRAINED = "trained."


@dataclass(frozen=True)
class Voice:
    """`style` (1, prompt, width) leads the GPT, `timbre` (1, size, 1) the decoder.

    `trained` holds tensors of `fine_tuning` by name, `about` plain JSON.
    """

    style: torch.Tensor
    timbre: torch.Tensor
    trained: dict = field(default_factory=dict)
    about: dict = field(default_factory=dict)


def save(path, voice, model_identity):
    """Write a voice that was made with the model of this identity."""
    tensors = {"style": voice.style, "timbre": voice.timbre}
    tensors |= {_TRAINED + name: tensor for name, tensor in voice.trained.items()}
    header = {"format": FORMAT, "model": model_identity, "about": json.dumps(voice.about)}
    save_file({name: each.cpu().contiguous() for name, each in tensors.items()}, path, header)


def load(path, model_identity):
    """Read a voice; UnusableError if it is none, or of another model."""
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _unusable("cannot be read") from error
    if header.get("format") != FORMAT or not {"style", "timbre"} <= tensors.keys():
        raise _unusable("was made by another engine")
    if header.get("model") != model_identity:
        raise _unusable("was made with other weights of XTTS")
    trained = {
        name.removeprefix(_TRAINED): tensor
        for name, tensor in tensors.items()
        if name.startswith(_TRAINED)
    }
    return Voice(tensors["style"], tensors["timbre"], trained, json.loads(header["about"]))


def _unusable(how):
    return UnusableError("voice-unusable", f"the voice {how}", "Train the voice again")
