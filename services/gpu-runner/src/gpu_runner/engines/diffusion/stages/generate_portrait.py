"""What `generate_portrait` does once torch may be imported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from gpu_runner.engines.diffusion import lora
from gpu_runner.engines.diffusion.components import (
    Components,
    Rgb,
    decode_latents,
    encode_pictures,
    use_processors,
)
from gpu_runner.engines.diffusion.detail import transfer_detail
from gpu_runner.engines.diffusion.likeness import measure_likeness
from gpu_runner.engines.diffusion.pictures import (
    contact_sheet,
    enlarge,
    require_drawn,
    resize,
    shrink,
    write_png,
)
from gpu_runner.engines.diffusion.portrait import PortraitConfig
from gpu_runner.engines.diffusion.sampling import SamplingConfig, redraw, redraw_steps, sample
from gpu_runner.engines.diffusion.stages.faces import read_faces
from gpu_runner.engines.diffusion.stages.telling import TILE
from gpu_runner.engines.diffusion.traits import Traits
from gpu_runner.media.mark import marked
from gpu_runner.models.manifest import MODELS
from gpu_runner.stage import StageContext, StageError, StageResult

PORTRAIT_SIDE = 512
LONGEST_WISH = 2000
REDRAWN = 16


def generate(context: StageContext, traits: Traits, base: Path) -> StageResult:
    """Draw by the base at `base`: see `run` in an engine's `generate_portrait`."""
    params: PortraitConfig = context.params
    use_processors()
    config = SamplingConfig(params.steps, params.guidance, context.seed, traits.sampling.at_once)
    tick = _Ticker(context, params, config)
    components = traits.load(base, context.device, params)
    photos = [scene.face for scene in read_faces(context)]
    prompt = traits.prompt(params.trigger_word, _wish(context))
    plain = sample(components, prompt, params.samples, config, tick)
    _wear(components, context.one("lora"), traits)
    drawn = sample(components, prompt, params.samples, config, tick)
    require_drawn(drawn)
    if params.reference == "photo":
        portrait = _from_photo(components, photos[0], prompt, params.strength, config, tick=tick)
    else:
        portrait = resize(_nearest(components, photos, drawn), PORTRAIT_SIDE)
    likeness = measure_likeness(components, photos, [[portrait]])
    from_noise = measure_likeness(components, photos, [plain, drawn])
    context.report.line(
        f"distance to the photos by {likeness.measure}: {likeness.distances[0]:.3f}"
    )
    path = write_png(context.output / "portrait.png", marked(portrait, params.mark))
    small = [shrink(photo, components.side) for photo in photos[: params.samples]]
    sheet = contact_sheet([small, drawn, plain], TILE)
    samples = write_png(context.output / "samples.png", sheet)
    return StageResult(
        {"portrait": [path], "samples": [samples]},
        {
            "reference": params.reference,
            "changed": _changed(photos[0], portrait),
            "identity_measure": likeness.measure,
            "identity_portrait": likeness.distances[0],
            "samples_measure": from_noise.measure,
            "identity_base": from_noise.distances[0],
            "identity_samples": from_noise.distances[1],
        },
    )


class _Ticker:
    """Counts sampling steps over all that is drawn."""

    def __init__(
        self, context: StageContext, params: PortraitConfig, config: SamplingConfig
    ) -> None:
        redrawn = redraw_steps(params.strength, config) if params.reference == "photo" else 0
        self._total = 2 * config.steps * config.rounds(params.samples) + redrawn
        self._done = 0
        self._report = context.report
        self._report.progress(0, self._total, "step", "loading the base")

    def __call__(self) -> None:
        self._done += 1
        self._report.progress(self._done, self._total, "step")


def _wish(context: StageContext) -> str:
    """What the user asked the picture to show, or nothing."""
    if not context.inputs.get("prompt"):
        return ""
    return context.one("prompt").read_text("utf-8", errors="replace")[:LONGEST_WISH]


def _wear(components: Components, path: Path, traits: Traits) -> None:
    """Put the LoRA at `path` into the base.

    Raises:
        StageError: `lora-unreadable`, `lora-of-another-base`.

    """
    try:
        _require_own(path, traits)
        lora.load(components.unet, path, *components.text_encoders, naming=traits.naming)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise StageError(
            "lora-unreadable",
            "the LoRA is damaged or was trained on another base",
            f"Train the person again with the engine `{traits.name}`",
        ) from error


def _require_own(path: Path, traits: Traits) -> None:
    """StageError if a LoRA that we made says that another engine's base is its own."""
    with safe_open(path, framework="pt") as stored:
        trained_on = (stored.metadata() or {}).get("ss_sd_model_name")
    # Of other programs this is a file's name, which says nothing, and enters no log.
    if trained_on != traits.name and trained_on in {model.name for model in MODELS}:
        raise StageError(
            "lora-of-another-base",
            f"the LoRA was trained by the engine {trained_on}, and the engine {traits.name} "
            "starts from another base",
            f"Choose the engine {trained_on} for generate_portrait",
        )


def _from_photo(
    components: Components,
    photo: Rgb,
    prompt: str,
    strength: float,
    config: SamplingConfig,
    *,
    tick: _Ticker,
) -> Rgb:
    """The photo, drawn anew by the model; by a small one only its coarse picture."""
    if components.side >= PORTRAIT_SIDE:
        given = resize(photo, components.side)
        drawn = redraw(components, given, prompt, strength, config, tick=tick)
        require_drawn(drawn)
        return resize(drawn[0], PORTRAIT_SIDE)
    return _coarse_from_photo(components, photo, prompt, strength, config, tick=tick)


def _coarse_from_photo(
    components: Components,
    photo: Rgb,
    prompt: str,
    strength: float,
    config: SamplingConfig,
    *,
    tick: _Ticker,
) -> Rgb:
    """The photo with its own detail, its coarse picture drawn anew.

    The mean of several redrawings is taken: where the model is sure they agree, and where it only
    guesses, their blotches cancel out. What is compared is what the codec makes of the photo, not
    the photo, so that the codec's own loss does not end up in the portrait.
    """
    coarse = shrink(photo, components.side)
    (before,) = decode_latents(components, encode_pictures(components, [coarse]))
    plain = replace(config, guidance=1.0)
    drawn = redraw(components, coarse, prompt, strength, plain, count=REDRAWN, tick=tick)
    require_drawn(drawn)
    after = np.mean(drawn, axis=0)
    large = photo if photo.shape[0] == PORTRAIT_SIDE else enlarge(photo, PORTRAIT_SIDE)
    return transfer_detail(large, before, after)


def _nearest(components: Components, photos: list[Rgb], drawn: list[Rgb]) -> Rgb:
    """The drawn picture most like the photos."""
    likeness = measure_likeness(components, photos, [[picture] for picture in drawn])
    return drawn[int(np.argmin(likeness.distances))]


def _changed(photo: Rgb, portrait: Rgb) -> float:
    gap = enlarge(photo, PORTRAIT_SIDE).astype(np.float32) - portrait.astype(np.float32)
    return round(float(np.sqrt(np.square(gap / 255).mean())), 4)
