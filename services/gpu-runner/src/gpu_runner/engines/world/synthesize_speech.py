"""`synthesize_speech` by the `world` engine: a script, spoken by a fitted voice.

Beside the sound it delivers when each phoneme and word is said, subtitles, and how well a
speech recogniser understood it. The sound is written as it comes, so memory stays flat.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from gpu_runner.stage import StageContext, StageError, StageResult

if TYPE_CHECKING:
    from pathlib import Path

    from gpu_runner.speech.narrator import Said
    from gpu_runner.speech.sound import Samples
    from gpu_runner.speech.speaker import Embedding

_CHECKED_AT_ONCE_SECONDS = 60.0
_COMPARED_SECONDS = 60.0
_CHECK_SHARE = 0.1
"""Time to listen to a speech, relative to the time it took to speak it."""


class Params(BaseModel):
    """What may be chosen for a speech."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    speed: Annotated[
        float,
        Field(ge=0.7, le=1.4, description="Pace relative to the voice's own; pitch stays"),
    ] = 1.0
    pitch: Annotated[
        float,
        Field(ge=-4.0, le=4.0, description="Shift of the voice in semitones; its pace stays"),
    ] = 0.0
    pause: Annotated[
        float,
        Field(ge=0.5, le=2.0, description="Factor on pauses between sentences and paragraphs"),
    ] = 1.0
    max_characters: Annotated[
        int, Field(ge=1, le=20_000, description="Longest script that is accepted, in characters")
    ] = 20_000
    check_words: Annotated[
        bool,
        Field(description="Let a speech recogniser write the result down and count its errors"),
    ] = True


def run(context: StageContext) -> StageResult:
    """Speak input `script` (UTF-8 text) in the voice of input `voice`, or a packaged one without.

    Outputs `speech` (WAV, 24 kHz mono), `timings` (JSON: seconds on that sound, symbols of
    Kokoro without stress marks, silence as an empty symbol) and `subtitles` (WebVTT and SubRip).
    The first sentence is offered as a sample as soon as it sounds.

    Raises:
        StageError: the script or the profile cannot be used; see `script.parse_script` and
            `profile.load_profile`.

    """
    from gpu_runner.speech.kokoro import Kokoro
    from gpu_runner.speech.narrator import LEVEL_DBFS, Manner, speak
    from gpu_runner.speech.profile import load_profile, packaged_voice
    from gpu_runner.speech.script import parse_script
    from gpu_runner.speech.sound import Take
    from gpu_runner.speech.subtitles import srt, webvtt

    params: Params = context.params
    script = parse_script(context.one("script").read_bytes(), params.max_characters)
    sentences = script.sentences
    if script.marks or script.emoji:
        context.report.line(f"not spoken: {script.marks} marks of formatting, {script.emoji} emoji")
    fitted = "voice" in context.inputs
    profile = load_profile(context.one("voice")) if fitted else packaged_voice()
    # A sentence takes as long as its text is, so characters tell better than sentences when all
    # will be said.
    ends = list(accumulate(len(sentence.read) for sentence in sentences))
    total = ends[-1] + (round(_CHECK_SHARE * ends[-1]) or 1 if params.check_words else 0)
    context.report.progress(0, total, "character", "loading the voice")
    kokoro = Kokoro()
    take = Take(context.scratch / "speech.f32")

    def heard(number: int, samples: Samples) -> None:
        if samples.size and take.empty:
            _offer(context, samples, number)
        take.append(samples)
        context.report.progress(
            ends[number - 1], total, "character", f"sentence {number} of {len(sentences)}"
        )

    started = time.monotonic()
    try:
        spoken = speak(
            sentences, profile, kokoro, heard, Manner(params.speed, params.pitch, params.pause)
        )
    except ValueError as error:
        raise StageError(
            "script-not-speakable",
            "no word of the script could be pronounced",
            "Write what should be said in English words",
        ) from error
    seconds = time.monotonic() - started
    duration = spoken.timeline.duration
    words = sum(len(sentence.words) for sentence in spoken.said)
    context.report.line(
        f"{len(sentences)} sentences, {words} words: {duration:.1f} s of speech, made in "
        f"{seconds:.1f} s"
    )

    sound, timings, vtt, subrip = (
        context.output / name
        for name in ("speech.wav", "timings.json", "subtitles.vtt", "subtitles.srt")
    )
    take.write_wav(sound, LEVEL_DBFS)
    timings.write_text(json.dumps(spoken.timeline.as_json(), ensure_ascii=False), "utf-8")
    vtt.write_text(webvtt(spoken.timeline.cues), "utf-8")
    subrip.write_text(srt(spoken.timeline.cues), "utf-8")

    metrics = {
        "duration": round(duration, 3),
        "real_time_factor": round(seconds / duration, 3),
        "sentences": len(sentences),
        "words": words,
        "voice": "matched" if fitted else "packaged",
    }
    if fitted:
        metrics["similarity"] = round(_similarity(sound, duration, profile.target), 4)
    if params.check_words:
        context.report.progress(ends[-1], total, "character", "listening to the result")
        metrics["word_error_rate"] = round(_word_error_rate(sound, spoken.said), 4)
        context.report.line(f"word error rate {metrics['word_error_rate']:.2f}")
        context.report.progress(total, total, "character")
    return StageResult(
        outputs={"speech": [sound], "timings": [timings], "subtitles": [vtt, subrip]},
        metrics=metrics,
    )


def _offer(context: StageContext, samples: Samples, number: int) -> None:
    """Let the user hear the first sentence while the rest is still to be spoken."""
    from gpu_runner.speech.narrator import LEVEL_DBFS
    from gpu_runner.speech.sound import amplify, level, write_wav

    path = context.scratch / "first-sentence.wav"
    write_wav(path, amplify(samples, LEVEL_DBFS - level(samples)))
    context.report.sample(path, "first sentence", number)


def _similarity(sound: Path, duration: float, target: Embedding) -> float:
    """How like the target the speech's first minute is."""
    from gpu_runner.speech.sound import read_wav
    from gpu_runner.speech.speaker import SpeakerEncoder, similarity

    beginning = read_wav(sound, end=min(duration, _COMPARED_SECONDS))
    return similarity(SpeakerEncoder().embed(beginning), target)


def _word_error_rate(sound: Path, said: Sequence[Said]) -> float:
    """Listen to the speech, a minute at most at a time, for its memory's sake."""
    from gpu_runner.speech.narrator import grouped
    from gpu_runner.speech.recognizer import Recognizer, spoken_word_errors
    from gpu_runner.speech.sound import read_wav

    recognizer = Recognizer()
    errors = words = 0
    for part in grouped(said, _CHECKED_AT_ONCE_SECONDS):
        transcript = recognizer.transcribe(read_wav(sound, part[0].start, part[-1].end))
        wrong, count = spoken_word_errors(
            [word for sentence in part for word in sentence.words], transcript
        )
        errors, words = errors + wrong, words + count
    return errors / max(1, words)
