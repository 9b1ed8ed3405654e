"""`train_voice` by the `world` engine: fits a packaged voice to a speaker's clip.

The fit looks only at the first half of the clip; the result is judged on the second half
and on sentences that the search never spoke. A voice that a speech recogniser no longer
understands is not delivered, however similar.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gpu_runner.stage import StageContext, StageError, StageResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpu_runner.speech.conversion import Conversion
    from gpu_runner.speech.kokoro import Kokoro
    from gpu_runner.speech.matching import Match, Target, Try
    from gpu_runner.speech.narrator import Speech
    from gpu_runner.speech.profile import VoiceProfile
    from gpu_runner.speech.speaker import SpeakerEncoder

PREVIEW = (
    "This is how the new voice sounds. It can read whatever you write, from a short note to a long "
    "story."
)

_LONGEST_CLIP_SECONDS = 60.0
_HIGHEST_WORD_ERROR_RATE = 0.1
_COLOURS = {"converted": 1.0, "toned": 0.8, "softened": 0.6}
"""Shares of the colour: a voice with less of it takes the place of one that is not understood."""

_WORTH = 0.01
"""Similarity by which each step away from a packaged voice must pay."""

_BUDGETS = {"draft": (5, 1, 50), "standard": (5, 3, 50), "best": (60, 6, 80)}
"""Styles that are tried, voices that are fitted, conversions that are tried for each of them."""


class Params(BaseModel):
    """What may be chosen for a voice."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    effort: Annotated[
        Literal["draft", "standard", "best"],
        Field(description="How long to search: about half a minute, one, or four on two cores"),
    ] = "draft"
    style_tries: Annotated[
        int | None,
        Field(ge=5, le=1000, description="Voices to try; by effort 5, 5 or 60 if not given"),
    ] = None
    conversion_tries: Annotated[
        int | None,
        Field(
            ge=3,
            le=5000,
            description="Conversions to try for each of the 1, 3 or 6 voices that an effort fits; "
            "by effort 50, 50 or 80",
        ),
    ] = None


def run(context: StageContext) -> StageResult:
    """Fit a voice to input `clip` (mono WAV, 24 kHz, as `prepare_clip` writes it).

    Outputs `voice` (a profile that `synthesize_speech` reads), `preview` (WAV: the voice
    reads neutral sentences) and `report` (JSON: the metrics and how the voice is made).
    Metrics are cosines of speaker embeddings: `similarity_fit` on the half that was
    searched, `similarity_heldout` on the other, `similarity_unconverted` of the best
    packaged voice untouched, `ceiling` of the clip's two halves with each other.

    Raises:
        StageError: `clip-too-short`, or a model is not installed.

    """
    import numpy as np

    from gpu_runner.speech.kokoro import Kokoro
    from gpu_runner.speech.matching import Budget, VoiceMatcher, measure
    from gpu_runner.speech.profile import save_profile
    from gpu_runner.speech.sound import RATE, read_wav, write_wav
    from gpu_runner.speech.speaker import SpeakerEncoder, similarity

    params: Params = context.params
    started = time.monotonic()
    styles, voices, conversions = _BUDGETS[params.effort]
    budget = Budget(params.style_tries or styles, voices, params.conversion_tries or conversions)
    total = budget.tries
    context.report.progress(0, total, "try", "loading the models")
    clip = read_wav(context.one("clip"))[: round(_LONGEST_CLIP_SECONDS * RATE)]
    if clip.size < 2 * RATE:
        raise StageError(
            "clip-too-short",
            "the voice clip is shorter than two seconds",
            "Record ten to thirty seconds of one person speaking",
        )
    encoder, kokoro = SpeakerEncoder(), Kokoro()
    target = measure(clip, encoder)
    matcher = VoiceMatcher(
        target,
        kokoro,
        encoder,
        np.random.default_rng(context.seed),
        lambda tried: _tell(context, tried, total),
    )
    match = matcher.match(budget)
    context.report.line(
        f"{match.tries} tries in {time.monotonic() - started:.1f} s; nearest packaged voice: "
        f"{_name(match.nearest)}; similarity {match.fits[0].similarity:.3f}"
    )
    chosen = _choose(match, target, encoder, kokoro, context.report.line)
    profile, speech = chosen.voice.profile, chosen.voice.speech
    context.report.line(f"chosen: {chosen.voice.name}")

    voice, preview, report = (
        context.output / name for name in ("voice.safetensors", "preview.wav", "report.json")
    )
    save_profile(voice, profile)
    write_wav(preview, speech.samples)
    metrics = {
        "similarity_fit": round(similarity(encoder.embed(speech.samples), target.fit), 4),
        "similarity_heldout": round(similarity(encoder.embed(speech.samples), target.heldout), 4),
        "similarity_unconverted": round(
            similarity(encoder.embed(chosen.packaged.samples), target.heldout), 4
        ),
        "ceiling": round(target.ceiling, 4),
        "word_error_rate": round(chosen.word_error_rate, 4),
        "nearest_base": _name(match.nearest),
        "base_voices": len(profile.bases),
        "chosen": chosen.voice.name,
        "pitch_ratio": round(profile.conversion.pitch, 3),
        "tries": match.tries,
        "seconds": round(time.monotonic() - started, 1),
    }
    report.write_text(json.dumps({**metrics, "made_of": _ingredients(profile)}, indent=1), "utf-8")
    context.report.sample(preview, "preview", match.tries)
    context.report.progress(total, total, "try")
    return StageResult(
        outputs={"voice": [voice], "preview": [preview], "report": [report]}, metrics=metrics
    )


def _tell(context: StageContext, tried: Try, total: int) -> None:
    context.report.progress(min(tried.number, total), total, "try", tried.what)
    context.report.values(tried.number, similarity=tried.score, best=tried.best)


def _name(voice: VoiceProfile) -> str:
    """The packaged voice that it has most of."""
    return voice.bases[int(voice.timbre.argmax())]


@dataclass(frozen=True, slots=True)
class _Voice:
    """A voice that may be delivered, and how it spoke the preview.

    `steps` counts what sets it apart from a packaged voice: a mixture, a conversion.
    """

    name: str
    steps: int
    profile: VoiceProfile
    speech: Speech


@dataclass(frozen=True, slots=True)
class _Choice:
    """The voice to deliver, and how the packaged one spoke the same."""

    voice: _Voice
    word_error_rate: float
    packaged: Speech


def _choose(
    match: Match,
    target: Target,
    encoder: SpeakerEncoder,
    kokoro: Kokoro,
    tell: Callable[[str], None],
) -> _Choice:
    """The most similar voice that a recogniser understands, judged on new sentences.

    A search fits its own probes too well at times; so the simpler voices it started from
    compete again, on sentences that it never spoke, and win ties. Only the first half of
    the clip is looked at. Of a voice that is not understood less colour is tried, and if none
    is understood, the packaged voice is the clearest.
    """
    from gpu_runner.speech.recognizer import Recognizer, spoken_word_error_rate
    from gpu_runner.speech.speaker import similarity

    def rating(voice: _Voice) -> float:
        return similarity(encoder.embed(voice.speech.samples), target.fit) - _WORTH * voice.steps

    packaged, families = _candidates(match, kokoro)
    recognizer = Recognizer()
    errors = {}
    pool = [(rating(voice), voice, softer) for softer in families for voice in [next(softer)]]
    while pool:
        found = max(pool, key=lambda each: each[0])
        pool.remove(found)
        rated, voice, softer = found
        heard = recognizer.transcribe(voice.speech.samples)
        errors[voice.name] = spoken_word_error_rate(voice.speech.spoken_words, heard)
        tell(f"{voice.name}: rated {rated:.3f}, word errors {errors[voice.name]:.2f}")
        if errors[voice.name] <= _HIGHEST_WORD_ERROR_RATE:
            return _Choice(voice, errors[voice.name], packaged.speech)
        pool += [(rating(less), less, softer) for less in islice(softer, 1)]
    return _Choice(packaged, errors[packaged.name], packaged.speech)


def _candidates(match: Match, kokoro: Kokoro) -> tuple[_Voice, list[Iterator[_Voice]]]:
    """The nearest packaged voice, and all that compete, each with those of less colour after it."""
    from gpu_runner.speech.conversion import Conversion
    from gpu_runner.speech.narrator import narrate
    from gpu_runner.speech.script import read_script

    sentences = read_script(PREVIEW.encode())
    packaged = _Voice("packaged", 0, match.nearest, narrate(sentences, match.nearest, kokoro))
    families = [iter([packaged])]
    for fit in match.fits:
        plain = replace(fit.profile, conversion=Conversion())
        if _same(plain, match.nearest):
            voice = packaged
        else:
            own = bool(plain.offset.any())
            name = "mixture" if own else _name(plain)
            voice = _Voice(name, int(own), plain, narrate(sentences, plain, kokoro))
            if own:
                families.append(iter([voice]))
        if not fit.profile.conversion.is_none:
            families.append(_coloured(voice, fit.profile.conversion))
    return packaged, families


def _coloured(voice: _Voice, conversion: Conversion) -> Iterator[_Voice]:
    """With all of the conversion's colour, then with less and less."""
    from gpu_runner.speech.narrator import revoiced

    for suffix, share in _COLOURS.items():
        softened = conversion.softened(share)
        yield _Voice(
            f"{voice.name}-{suffix}",
            voice.steps + 1,
            replace(voice.profile, conversion=softened),
            revoiced(voice.speech, softened),
        )


def _same(one: VoiceProfile, other: VoiceProfile) -> bool:
    import numpy as np

    return np.array_equal(one.style(), other.style())


def _ingredients(profile: VoiceProfile) -> dict[str, object]:
    """How the voice is made, for the report: packaged voices, licence, conversion."""
    from gpu_runner.speech.kokoro import LICENCE, NAME

    return {
        "model": NAME,
        "licence": LICENCE,
        "timbre": dict(zip(profile.bases, profile.timbre.round(3).tolist(), strict=True)),
        "prosody": dict(zip(profile.bases, profile.prosody.round(3).tolist(), strict=True)),
        "pitch": round(profile.conversion.pitch, 3),
        "melody": round(profile.conversion.melody, 3),
        "formants": round(profile.conversion.formants, 3),
        "equaliser_db": [round(gain, 1) for gain in profile.conversion.equaliser_db],
        "note": "matched in pitch and colour, not a clone",
    }
