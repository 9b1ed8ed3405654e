"""The weights of XTTS, as its authors published them, loaded without running what a pickle holds.

`Xtts.load_checkpoint` would do, but writes what it has read back into the folder of the weights.
"""

import hashlib
import pickle
import random

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from telling import UnusableError
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.layers.xtts.dvae import DiscreteVAE
from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
from TTS.tts.models.xtts import Xtts, _legacy_safe_globals

_OF_TRAINERS = ("torch_mel_spectrogram_style_encoder.", "torch_mel_spectrogram_dvae.", "dvae.")
_OF_INFERENCE = ("gpt.gpt_inference.", "gpt.gpt.wte.")
_UNREADABLE = (OSError, RuntimeError, KeyError, TypeError, ValueError, pickle.UnpicklingError,
               SafetensorError)  # fmt: skip


def load(folder, device):
    """The model of a folder with `config.json`, `vocab.json` and `model.pth`, ready to speak.

    `model.safetensors` goes before `model.pth`. UnusableError if they do not fit together.
    """
    try:
        config = XttsConfig()
        config.load_json(str(folder / "config.json"))
        model = Xtts(config)
        model.tokenizer = VoiceBpeTokenizer(vocab_file=folder / "vocab.json")
        model.init_models()
        model.load_state_dict(_state(folder))
    except _UNREADABLE as error:
        raise _unusable("model") from error
    model.to(device).eval()
    return model


def load_codec(folder, model):
    """The encoder of sound into the codes that the GPT speaks in, from `dvae.pth`."""
    codec = DiscreteVAE(
        channels=80,
        normalization=None,
        positional_dims=1,
        num_tokens=model.args.gpt_num_audio_tokens - 2,
        codebook_dim=512,
        hidden_dim=512,
        num_resnet_blocks=3,
        kernel_size=3,
        num_layers=2,
        use_transposed_convs=False,
    )
    try:
        codec.load_state_dict(_tensors(folder / "dvae.pth"))
    except _UNREADABLE as error:
        raise _unusable("dvae") from error
    return codec.to(model.device).eval()


def identity(folder):
    """Sixteen hex digits that differ between models: a voice fits only the one it was made for."""
    digest = hashlib.sha256()
    for name in ("config.json", "vocab.json", "model.safetensors", "model.pth"):
        path = folder / name
        if path.exists():
            with path.open("rb") as file:
                digest.update(f"{name}/{path.stat().st_size}/".encode() + file.read(1 << 20))
    return digest.hexdigest()[:16]


def seed_all(seed):
    """All that is random from here on follows from the seed."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the libraries draw from this one
    torch.manual_seed(seed)


def _state(folder):
    """The tensors of the model alone; a checkpoint of a trainer has others besides."""
    path = folder / "model.safetensors"
    found = load_file(path) if path.exists() else _tensors(folder / "model.pth")
    named = {name.removeprefix("xtts."): tensor for name, tensor in found.items()}
    left_out = (*_OF_TRAINERS, *_OF_INFERENCE)
    return {name: tensor for name, tensor in named.items() if not name.startswith(left_out)}


def _tensors(path):
    """Tensors by name from a pickle, of which nothing but tensors and settings is accepted."""
    with _legacy_safe_globals():
        found = torch.load(path, map_location="cpu", weights_only=True)
    return found.get("model", found)


def _unusable(what):
    return UnusableError(
        "weights-unusable",
        f"the weights of XTTS cannot be read ({what})",
        "Where the runner is: `myspinbot models verify xtts`, or see MYSPINBOT_BASE_XTTS",
    )
