"""The `world` engine's two stages, run as the runner runs them: files in, files out."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile
from gpu_runner.engines.world import synthesize_speech, train_voice
from gpu_runner.speech.clip import prepare_clip
from gpu_runner.speech.conversion import Conversion, convert
from gpu_runner.speech.sound import RATE, read_wav, write_wav
from gpu_runner.stage import StageContext, StageError, StageResult
from pydantic import BaseModel, ValidationError
from report_support import Talk

pytestmark = pytest.mark.long

SAMPLE = Path(__file__).parents[3] / "samples" / "voice.ogg"
STORY = (
    "The boat was there when we arrived, and we left the harbour in the early morning light."
    " She had been reading a letter from an old friend, while nobody looked."
)


@dataclass
class Record(Talk):
    """A report that remembers."""

    steps: list[tuple[float, float]] = field(default_factory=list)
    samples: list[Path] = field(default_factory=list)

    def progress(self, done: float, total: float, unit: str, message: str = "") -> None:
        assert unit
        assert isinstance(message, str)
        self.steps.append((done, total))

    def checkpoint(self, directory: Path, step: int) -> None:
        raise AssertionError((directory, step))

    def sample(self, path: Path, caption: str, step: int) -> None:
        assert caption
        assert step
        self.samples.append(path)


def context(folder: Path, params: BaseModel, record: Record, **inputs: Path) -> StageContext:
    output, scratch = folder / "output", folder / "scratch"
    for empty in (output, scratch):
        empty.mkdir(parents=True)
    return StageContext(
        params=params,
        inputs={name: [path] for name, path in inputs.items()},
        output=output,
        scratch=scratch,
        device="cpu",
        seed=7,
        report=record,
    )


def stranger(folder: Path) -> Path:
    """A clip of a voice that is none of the packaged ones."""
    recording = folder / "stranger.wav"
    if shutil.which("flite"):
        subprocess.run(["flite", "-voice", "rms", "-t", STORY, "-o", str(recording)], check=True)
    else:
        samples, _ = soundfile.read(SAMPLE, dtype="float32")
        write_wav(recording, convert(samples, Conversion(pitch=0.55, formants=0.85)))
    prepare_clip(recording, folder / "clip.wav")
    return folder / "clip.wav"


@dataclass
class Trained:
    result: StageResult
    record: Record

    @property
    def voice(self) -> Path:
        return self.result.outputs["voice"][0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("train")
    record = Record()
    params = train_voice.Params(style_tries=6, conversion_tries=50)
    clip = stranger(folder)
    return Trained(train_voice.run(context(folder, params, record, clip=clip)), record)


def test_the_fitted_voice_resembles_the_speaker_more_than_any_packaged_one(
    trained: Trained,
) -> None:
    metrics = trained.result.metrics
    assert metrics["similarity_heldout"] > metrics["similarity_unconverted"] + 0.04
    assert metrics["ceiling"] > metrics["similarity_heldout"]
    assert metrics["word_error_rate"] <= 0.1
    assert metrics["tries"] <= 56
    assert metrics["chosen"].endswith(("converted", "toned", "softened"))


def test_training_reports_progress_that_only_grows_and_ends_full(trained: Trained) -> None:
    done = [step for step, _ in trained.record.steps]
    assert done == sorted(done)
    assert trained.record.steps[-1] == (56, 56)
    assert len(done) > 20
    assert trained.record.samples == list(trained.result.outputs["preview"])
    tries = [step for step, _ in trained.record.measured]
    assert tries == list(range(1, 57))
    assert all(values["best"] >= values["similarity"] for _, values in trained.record.measured)
    told = " ".join(message for _, message in trained.record.said_lines)
    assert f"chosen: {trained.result.metrics['chosen']}" in told


def test_the_profile_is_small_and_says_what_it_is_made_of(trained: Trained) -> None:
    header_size = int.from_bytes(trained.voice.read_bytes()[:8], "little")
    header = json.loads(trained.voice.read_bytes()[8 : 8 + header_size])["__metadata__"]
    assert trained.voice.stat().st_size < 10_000
    assert header["format"] == "myspinbot.voice"
    assert header["licence"] == "Apache-2.0"
    assert len(json.loads(header["bases"])) == 5


def test_the_profile_speaks_a_new_sentence(trained: Trained, tmp_path: Path) -> None:
    script = tmp_path / "script.txt"
    script.write_text("**Nobody** has ever said this sentence before, but I can. 😀", "utf-8")
    record = Record()
    result = synthesize_speech.run(
        context(tmp_path, synthesize_speech.Params(), record, script=script, voice=trained.voice)
    )
    speech = read_wav(result.outputs["speech"][0])
    timings = json.loads(result.outputs["timings"][0].read_text("utf-8"))
    subtitles, subrip = (path.read_text("utf-8") for path in result.outputs["subtitles"])
    assert result.metrics["word_error_rate"] <= 0.2
    assert result.metrics["similarity"] > trained.result.metrics["similarity_unconverted"]
    assert timings["duration"] == pytest.approx(speech.size / RATE, abs=1e-3)
    assert timings["phonemes"][-1]["end"] == timings["duration"]
    assert "Nobody has ever" in subtitles
    assert "Nobody has ever" in subrip
    (first,) = record.samples
    assert read_wav(first).size == pytest.approx(speech.size, abs=1)
    assert "Nobody" not in str(record.said_lines)
    done = [step for step, _ in record.steps]
    assert done == sorted(done)
    assert record.steps[-1][0] == record.steps[-1][1]
    assert "not spoken: 1 marks of formatting, 1 emoji" in str(record.said_lines)
    assert "sentence before" not in json.dumps(dict(result.metrics))
    assert np.abs(speech).max() < 0.95


def test_a_script_with_nothing_to_say_fails_before_a_model_is_loaded(
    trained: Trained, tmp_path: Path
) -> None:
    script = tmp_path / "script.txt"
    script.write_text("   ", "utf-8")
    with pytest.raises(StageError) as caught:
        synthesize_speech.run(
            context(
                tmp_path, synthesize_speech.Params(), Record(), script=script, voice=trained.voice
            )
        )
    assert caught.value.code == "script-empty"


@pytest.mark.parametrize(
    "bad", [{"speed": 3.0}, {"pitch": 5}, {"pause": 0.1}, {"speed": "fast"}, {"sped": 1.0}]
)
def test_wrong_parameters_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        synthesize_speech.Params(**bad)
