"""`synthesize_speech` by the `world` engine: a script, spoken by a fitted voice.

Beside the sound it delivers when each phoneme and word is said, subtitles, and how well a
speech recogniser understood it.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from gpu_runner.stage import StageContext, StageError, StageResult

if TYPE_CHECKING:
    from gpu_runner.speech.narrator import Speech
    from gpu_runner.speech.speaker import Embedding


class Params(BaseModel):
    """What may be chosen for a speech."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    speed: Annotated[
        float,
        Field(ge=0.7, le=1.4, description="Pace relative to the voice's own; pitch stays"),
    ] = 1.0
    max_characters: Annotated[
        int, Field(ge=1, le=20_000, description="Longest script that is accepted, in characters")
    ] = 5_000
    check_words: Annotated[
        bool,
        Field(description="Let a speech recogniser write the result down and count its errors"),
    ] = True


def run(context: StageContext) -> StageResult:
    """Speak input `script` (UTF-8 text) in the voice of input `voice`, or a packaged one without.

    Outputs `speech` (WAV, 24 kHz mono), `timings` (JSON: seconds on that sound, symbols of
    Kokoro without stress marks, silence as an empty symbol) and `subtitles` (WebVTT).

    Raises:
        StageError: the script or the profile cannot be used; see `script.read_script` and
            `profile.load_profile`.

    """
    from gpu_runner.speech.kokoro import Kokoro
    from gpu_runner.speech.narrator import narrate
    from gpu_runner.speech.profile import load_profile, packaged_voice
    from gpu_runner.speech.script import read_script
    from gpu_runner.speech.sound import write_wav
    from gpu_runner.speech.subtitles import webvtt

    params: Params = context.params
    sentences = read_script(context.one("script").read_bytes(), params.max_characters)
    fitted = "voice" in context.inputs
    profile = load_profile(context.one("voice")) if fitted else packaged_voice()
    count = len(sentences)
    steps = count + (1 if params.check_words else 0)
    context.report.progress(0, steps, "sentence", "loading the voice")
    kokoro = Kokoro()

    started = time.monotonic()
    try:
        speech = narrate(
            sentences,
            profile,
            kokoro,
            speed=params.speed,
            progress=lambda done: context.report.progress(done, steps, "sentence"),
        )
    except ValueError as error:
        raise StageError(
            "script-not-speakable",
            "no word of the script could be pronounced",
            "Write what should be said in English words",
        ) from error
    seconds = time.monotonic() - started
    context.report.line(
        f"{count} sentences, {len(speech.spoken_words)} words: {speech.timeline.duration:.1f} s "
        f"of speech, made in {seconds:.1f} s"
    )

    sound, timings, subtitles = (
        context.output / name for name in ("speech.wav", "timings.json", "subtitles.vtt")
    )
    write_wav(sound, speech.samples)
    timings.write_text(json.dumps(speech.timeline.as_json(), ensure_ascii=False), "utf-8")
    subtitles.write_text(webvtt(speech.timeline.cues), "utf-8")

    metrics = {
        "duration": round(speech.timeline.duration, 3),
        "real_time_factor": round(seconds / speech.timeline.duration, 3),
        "sentences": count,
        "words": len(speech.spoken_words),
        "voice": "matched" if fitted else "packaged",
    }
    if fitted:
        metrics["similarity"] = round(_similarity(speech, profile.target), 4)
    if params.check_words:
        context.report.progress(count, steps, "sentence", "listening to the result")
        metrics["word_error_rate"] = round(_word_error_rate(speech), 4)
        context.report.line(f"word error rate {metrics['word_error_rate']:.2f}")
        context.report.progress(steps, steps, "sentence")
    return StageResult(
        outputs={"speech": [sound], "timings": [timings], "subtitles": [subtitles]},
        metrics=metrics,
    )


def _similarity(speech: Speech, target: Embedding) -> float:
    from gpu_runner.speech.speaker import SpeakerEncoder, similarity

    return similarity(SpeakerEncoder().embed(speech.samples), target)


def _word_error_rate(speech: Speech) -> float:
    from gpu_runner.speech.recognizer import Recognizer, spoken_word_error_rate

    return spoken_word_error_rate(speech.spoken_words, Recognizer().transcribe(speech.samples))
