"""MuseTalk's three networks, from a folder laid out as its authors lay out theirs.

`musetalkV15/` holds the UNet (`musetalk.json`, and `unet.safetensors` or `unet.pth`), `sd-vae/` and
`whisper/` what diffusers and transformers save. Of a pickled file nothing but numbers is read.
"""

import json
import pickle
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from gpu_runner.engines.diffusion.exhaustion import ran_out
from gpu_runner.engines.diffusion.precision import number_format
from gpu_runner.stage import StageError
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import WhisperFeatureExtractor, WhisperModel

PICTURE_CHANNELS = 8


@dataclass(frozen=True)
class Loaded:
    """What computes, on its device, in `dtype`."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    ears: torch.nn.Module
    spectrum: WhisperFeatureExtractor
    device: torch.device
    dtype: torch.dtype


def load(folder, params, device):
    """Load all three.

    Raises:
        StageError: `weights-absent`, `weights-unreadable`, `memory-exhausted`.

    """
    place = torch.device(device)
    dtype = number_format(params.precision, place)
    try:
        unet = _unet(folder / "musetalkV15")
        vae = AutoencoderKL.from_pretrained(folder / "sd-vae", **_how(folder / "sd-vae"))
        ears = WhisperModel.from_pretrained(folder / "whisper", **_how(folder / "whisper"))
        spectrum = WhisperFeatureExtractor.from_pretrained(
            folder / "whisper", local_files_only=True
        )
        _require_fit(unet, vae, ears)
        parts = [one.to(place, dtype).eval() for one in (unet, vae, ears.get_encoder())]
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, EOFError) as error:
        if ran_out(error):
            raise StageError(
                "memory-exhausted",
                "the weights do not fit into the device's memory",
                "Use a device with more memory, or the engine warp",
            ) from error
        raise _unreadable() from error
    except pickle.UnpicklingError as error:
        raise _unreadable() from error
    return Loaded(*parts, spectrum, place, dtype)


def _unet(folder):
    config = json.loads((folder / "musetalk.json").read_text(encoding="utf-8"))
    unet = UNet2DConditionModel.from_config(config)
    safe, pickled = folder / "unet.safetensors", folder / "unet.pth"
    if safe.exists():
        state = load_file(safe)
    elif pickled.exists():
        # Refuses whatever is no tensor: a pickle could run anything otherwise.
        state = torch.load(pickled, map_location="cpu", weights_only=True)
    else:
        raise StageError(
            "weights-absent",
            "there is no unet.safetensors and no unet.pth in musetalkV15",
            "Get the weights of MuseTalk 1.5: see docs/video-engines.md",
        )
    unet.load_state_dict(state)
    return unet


def _how(folder):
    safe = any(folder.glob("*.safetensors"))
    # Without safetensors both libraries read the pickled file with `weights_only`.
    return {"local_files_only": True, "use_safetensors": safe}


def _require_fit(unet, vae, ears):
    """ValueError if the networks are not made for each other."""
    if unet.config["in_channels"] != PICTURE_CHANNELS:
        raise ValueError("the UNet takes no masked picture beside the picture")
    if unet.config["out_channels"] != vae.config["latent_channels"]:
        raise ValueError("the UNet draws other latents than the VAE decodes")
    if unet.config["cross_attention_dim"] != ears.config.d_model:
        raise ValueError("the UNet was made for another Whisper")


def _unreadable():
    return StageError(
        "weights-unreadable",
        "the weights of MuseTalk are damaged, or parts of different versions",
        "Get them again: see docs/video-engines.md",
    )
