"""A moving scene out of a portrait, by one of diffusers' image-to-video pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError

from gpu_runner.engines.diffusion.config import Precision
from gpu_runner.engines.diffusion.exhaustion import ran_out
from gpu_runner.engines.diffusion.memory.free import free_on
from gpu_runner.engines.diffusion.precision import number_format
from gpu_runner.engines.diffusion.sources import variant_of
from gpu_runner.engines.i2v.families import LTX, SVD, Source
from gpu_runner.stage import StageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gpu_runner.engines.i2v.params import Params

    Rgb = NDArray[np.uint8]

PROMPT = "{wish}. The person looks at the camera with closed lips, natural light, still camera"
DEFAULT_WISH = "A portrait of a person whose hair moves in a light breeze"
UNWANTED = "talking, open mouth, teeth, blurred, distorted face, more people, text, cuts"
LONGEST_PROMPT = 512
# As published for the decoders of LTX-Video that take part in the denoising (diffusers' docs).
LTX_DECODING = {"decode_timestep": 0.05, "decode_noise_scale": 0.025}
# How much noise the first picture is given, as the authors of Stable Video Diffusion did.
SVD_NOISE = 0.02
SVD_AT_ONCE = 8


class Model:
    """A loaded model that continues pictures."""

    def __init__(self, source: Source, params: Params, device: str) -> None:
        """Load the model.

        Raises:
            StageError: `base-unreadable`, `memory-exhausted`.

        """
        self._params, self._family = params, source.family
        self._device = torch.device(device)
        try:
            self._pipeline = _load(source, format_of(params, self._device))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            if ran_out(error):
                raise _exhausted() from error
            raise StageError(
                "base-unreadable",
                "the weights of the model do not fit its own configuration",
                "Get it again as a whole",
            ) from error
        self._pipeline.set_progress_bar_config(disable=True)
        # Every decoder has the calls, but only of those that have the switch they are true.
        vae = self._pipeline.vae
        if hasattr(vae, "use_slicing"):
            vae.enable_slicing()
        if params.vae_tiles and hasattr(vae, "use_tiling"):
            vae.enable_tiling()
        if params.offload and self._device.type == "cuda":
            self._pipeline.enable_model_cpu_offload(device=self._device)
        else:
            self._pipeline.to(self._device)

    @property
    def rate(self) -> float:
        """Pictures a second of what it draws."""
        # Wan 2.2 with 5 billion weights was made for more of them than the others.
        expands = getattr(self._pipeline.config, "expand_timesteps", False)
        return 24.0 if expands else self._family.rate

    @property
    def steps(self) -> int:
        """Sampling steps for one clip."""
        return self._params.steps or self._family.steps

    @torch.no_grad()
    def draw(self, first: Rgb, wish: str, seed: int, tick: Callable[[], None]) -> list[Rgb]:
        """A clip that begins with `first`.

        Args:
            first: a picture (height, width, 3) of the canvas's size.
            wish: what the scene shall show; unheeded by models without words.
            seed: for the noise.
            tick: called after each sampling step.

        Returns:
            Pictures of the shape of `first`, the first of which is nearly that.

        Raises:
            StageError: `memory-exhausted`, `nothing-drawn`.

        """
        high, wide = first.shape[:2]
        width, height = self._family.size((wide, high), self._params.scene_side)
        small = cv2.resize(first, (width, height), interpolation=cv2.INTER_AREA)

        def after_step(*told: Any) -> dict[str, Any]:
            del told
            tick()
            return {}

        try:
            drawn = self._pipeline(
                image=Image.fromarray(np.asarray(small, dtype=np.uint8)),
                width=width,
                height=height,
                num_frames=self._family.count(self._params.pictures),
                num_inference_steps=self.steps,
                generator=torch.Generator("cpu").manual_seed(seed),
                output_type="np",
                callback_on_step_end=after_step,
                **self._own(wish),
            ).frames[0]
        except (MemoryError, RuntimeError) as error:
            if ran_out(error):
                raise _exhausted() from error
            raise
        _require_drawn(drawn)
        return [_brought_to(one, (wide, high)) for one in drawn]

    def _own(self, wish: str) -> dict[str, Any]:
        """Arguments of its own kind of pipeline."""
        guidance = self._params.guidance or self._family.guidance
        if self._family is SVD:
            return {
                "fps": round(self._family.rate),
                "max_guidance_scale": guidance,
                "motion_bucket_id": self._params.motion_bucket,
                "noise_aug_strength": SVD_NOISE,
                "decode_chunk_size": 1 if self._params.vae_tiles else SVD_AT_ONCE,
            }
        prompt = PROMPT.format(wish=wish or DEFAULT_WISH)
        if self._family is LTX:
            decoding = LTX_DECODING if self._pipeline.vae.config.timestep_conditioning else {}
            return {
                "prompt": prompt,
                "negative_prompt": UNWANTED,
                "guidance_scale": guidance,
                "frame_rate": round(self._family.rate),
                **decoding,
            }
        # Told as numbers: cleaning of words is left to a package that we do without.
        return {
            "prompt_embeds": self._worded(prompt),
            "negative_prompt_embeds": self._worded(UNWANTED),
            "guidance_scale": guidance,
        }

    def _worded(self, prompt: str) -> torch.Tensor:
        """Embeddings [1, tokens, width] of words, zero beyond their end, as Wan was trained."""
        encoder = self._pipeline.text_encoder
        tokens = self._pipeline.tokenizer(
            prompt,
            padding="max_length",
            max_length=LONGEST_PROMPT,
            truncation=True,
            return_tensors="pt",
        )
        mask = tokens.attention_mask.to(self._device)
        states: torch.Tensor = encoder(tokens.input_ids.to(self._device), mask).last_hidden_state
        return states.to(self._device) * mask[..., None].to(states.dtype)


def format_of(params: Params, device: torch.device) -> torch.dtype:
    """The number format in which the weights are kept."""
    return number_format(params.precision, device)


def require_room(source: Source, params: Params, device: torch.device) -> str:
    """What the weights will take of a device, as a line to be told.

    Raises:
        StageError: `memory-too-small`.

    """
    weights = source.weights(format_of(params, device).itemsize)
    apart = params.offload and device.type == "cuda"
    need = max(weights.values()) if apart else sum(weights.values())
    free = free_on(device)
    told = f"{source.family.title}: weights take {need / 1e9:.1f} GB" + " at a time" * apart
    if free is None:
        return told
    if need > free:
        raise StageError(
            "memory-too-small",
            f"the model's weights take {need / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free",
            "Leave offload on, choose a smaller model, a device with more memory, or the engine "
            "warp",
        )
    return f"{told}; {free / 1e9:.1f} GB are free for them and for the pictures"


def _load(source: Source, dtype: torch.dtype) -> Any:
    import diffusers

    kinds = {
        "svd": diffusers.StableVideoDiffusionPipeline,
        "wan": diffusers.WanImageToVideoPipeline,
        "ltx": diffusers.LTXImageToVideoPipeline,
    }
    formats = {"default": dtype}
    if source.family.name == "wan":
        # Its authors' advice: in half precision its pictures lose their detail.
        formats["vae"] = torch.float32
    return kinds[source.family.name].from_pretrained(
        source.path,
        dtype=formats,
        local_files_only=True,
        use_safetensors=True,
        variant=variant_of(source.path / source.family.denoiser),
    )


def _brought_to(drawn: NDArray[np.float32], size: tuple[int, int]) -> Rgb:
    levels = (drawn * 255).round().clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(levels, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _require_drawn(drawn: NDArray[np.float32]) -> None:
    if not np.isfinite(drawn).all() or np.ptp(drawn) < 1 / 255:
        raise StageError(
            "nothing-drawn",
            "the model's numbers overflowed, and its pictures came out empty",
            f"Choose another precision than {Precision.FP16}, or another model",
        )


def _exhausted() -> StageError:
    return StageError(
        "memory-exhausted",
        "the scene does not fit into the device's memory",
        "Choose a smaller scene_side, fewer pictures or vae_tiles, and leave offload on",
    )
