"""XTTS in its own environment: its real loading, speaking and training, on tiny random weights.

Each stage loads its libraries anew, so what one run shows is looked at together.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from gpu_runner.plugins.check import outputs
from gpu_runner.plugins.found import plugged_in
from safetensors.numpy import load_file
from xtts_support import Course, Xtts, installed, recording, run

pytestmark = pytest.mark.long

SCRIPT = "Good morning. It costs $45 for 3 tickets, Dr. Smith says!"
TRAINING = {
    "fine_tune_steps": 5,
    "checkpoint_every": 2,
    "transcript": "this is what I said",
    "rank": 2,
    "reference_seconds": 4,
    "learning_rate": 0.01,
}


@pytest.fixture(scope="module")
def xtts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Xtts]:
    yield from installed(tmp_path_factory.mktemp("xtts"))


@pytest.fixture(autouse=True)
def own_weights(xtts: Xtts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYSPINBOT_BASE_XTTS", str(xtts.weights))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recording(tmp_path_factory.mktemp("clip") / "clip.wav")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stages")


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    """When each file of a folder was written, and what is in it."""
    return {
        each.name: (each.stat().st_mtime_ns, hashlib.sha256(each.read_bytes()).hexdigest())
        for each in folder.iterdir()
    }


async def trained(xtts: Xtts, place: Path, clip: Path) -> Course:
    """A voice that was trained without being stopped; made once."""
    if not (place / "whole").exists():
        trial = xtts.trial("train_voice", place / "whole", {"clip": clip}, params=TRAINING)
        _WHOLE[place] = await run(trial)
    return _WHOLE[place]


_WHOLE: dict[Path, Course] = {}


async def test_a_voice_is_cloned_and_says_a_script(xtts: Xtts, place: Path, clip: Path) -> None:
    pulled = contents(xtts.weights)
    learnt = await run(xtts.trial("train_voice", place / "cloned", {"clip": clip}))
    [voice] = learnt.outputs["voice"]
    assert sorted(load_file(voice)) == ["style", "timbre"]
    assert load_file(voice)["style"].shape == (1, 32, 64)
    assert voice.stat().st_size < 100_000
    assert learnt.metrics["clip_seconds"] == 4.0
    assert -1 <= learnt.metrics["similarity_preview"] <= 1
    assert soundfile.info(learnt.outputs["preview"][0]).duration > 0.5
    assert learnt.told == sorted(learnt.told)

    words = place / "words.txt"
    words.write_text(SCRIPT)
    given = {"script": words, "voice": voice}
    spoken = await run(xtts.trial("synthesize_speech", place / "spoken", given))
    outputs.check("synthesize_speech", spoken.outputs, {})
    timings = json.loads(spoken.outputs["timings"][0].read_text())
    assert [each["text"] for each in timings["words"]] == SCRIPT.split()
    edges = [edge for each in timings["words"] for edge in (each["start"], each["end"])]
    assert edges == sorted(edges)
    assert edges[-1] <= timings["duration"]
    spans = timings["phonemes"]
    assert spans[0]["start"] == 0
    assert {"m", "ɔ", "ɹ"} <= {each["symbol"] for each in spans}
    sound = soundfile.info(spoken.outputs["speech"][0])
    assert (sound.samplerate, sound.channels) == (24_000, 1)
    assert sound.duration == pytest.approx(timings["duration"], abs=0.001)
    assert spoken.metrics["sentences"] == 2
    subtitles = spoken.outputs["subtitles"][0].read_text()
    assert subtitles.startswith("WEBVTT")
    assert "Good morning." in subtitles

    assert contents(xtts.weights) == pulled, "weights stay as they were pulled"


async def test_a_training_that_was_killed_goes_on_to_the_same_voice(
    xtts: Xtts, place: Path, clip: Path
) -> None:
    whole = await trained(xtts, place, clip)
    broken = xtts.trial("train_voice", place / "broken", {"clip": clip}, params=TRAINING)
    course = await run(broken, kill_after=1)
    assert course.ending is None
    again = xtts.trial(
        "train_voice",
        place / "resumed",
        {"clip": clip},
        params=TRAINING,
        resume=course.checkpoints[0],
    )
    resumed = await run(again)
    losses = {each.step: each.values for each in whole.lines if each.values}
    later = {each.step: each.values for each in resumed.lines if each.values}
    assert sorted(losses) == [1, 2, 3, 4, 5]
    assert later == {step: losses[step] for step in (3, 4, 5)}
    one, other = (load_file(each.outputs["voice"][0]) for each in (whole, resumed))
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.tobytes() == other[name].tobytes(), name
    changed = [name for name in one if name.endswith(".b") and one[name].any()]
    assert len(changed) == 4, "attention in and out, of two layers"
    assert whole.metrics["trained_parameters"] == sum(
        tensor.size for name, tensor in one.items() if name.startswith("trained.")
    )


async def test_a_trained_voice_speaks_another_language(
    xtts: Xtts, place: Path, clip: Path, tmp_path: Path
) -> None:
    [voice] = (await trained(xtts, place, clip)).outputs["voice"]
    words = tmp_path / "words.txt"
    words.write_text("Guten Morgen, 2 Karten.")
    given = {"script": words, "voice": voice}
    params = {"language": "de", "speed": 1.3}
    spoken = await run(xtts.trial("synthesize_speech", tmp_path / "german", given, params=params))
    assert spoken.metrics["words"] == 4


async def test_what_cannot_be_used_is_told(
    xtts: Xtts, place: Path, clip: Path, tmp_path: Path
) -> None:
    [voice] = (await trained(xtts, place, clip)).outputs["voice"]
    words, noise = tmp_path / "words.txt", tmp_path / "noise"
    words.write_text("Hello.")
    noise.write_bytes(b"no sound, no voice")
    ran = tmp_path / "ran"
    evil = copied(xtts.weights, tmp_path / "evil", "model.pth", pickled_program(ran))
    settings = (xtts.weights / "config.json").read_bytes() + b"\n"
    other = copied(xtts.weights, tmp_path / "other", "config.json", settings)
    spoken = {"script": words, "voice": voice}
    jobs = [
        ("clip-unreadable", xtts.job("train_voice", tmp_path, {"clip": noise})),
        (
            "transcript-missing",
            xtts.job("train_voice", tmp_path, {"clip": clip}, params={"fine_tune_steps": 3}),
        ),
        ("weights-unusable", xtts.job("train_voice", tmp_path, {"clip": clip}, weights=evil)),
        ("voice-missing", xtts.job("synthesize_speech", tmp_path, {"script": words})),
        (
            "voice-unusable",
            xtts.job("synthesize_speech", tmp_path, {**spoken, "voice": noise}),
        ),
        ("voice-unusable", xtts.job("synthesize_speech", tmp_path, spoken, weights=other)),
        (
            "script-not-text",
            xtts.job("synthesize_speech", tmp_path, {**spoken, "script": clip}),
        ),
    ]
    (tmp_path / "jobs.json").write_text(json.dumps([job for _, job in jobs]))
    told = json.loads(xtts.ask("xtts_answers.py", tmp_path / "jobs.json"))
    assert [each.get("code") for each in told] == [code for code, _ in jobs]
    assert "other weights" in told[5]["cause"]
    assert not ran.exists(), "what is hidden in a pickle never runs"


def copied(folder: Path, place: Path, name: str, content: bytes) -> Path:
    """A folder with the same files but one."""
    place.mkdir()
    for each in folder.iterdir():
        if each.name != name:
            (place / each.name).symlink_to(each)
    (place / name).write_bytes(content)
    return place


def pickled_program(trace: Path) -> bytes:
    """What leaves a trace when it is unpickled without care."""

    class Program:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(trace),)

    return pickle.dumps({"model": Program()}, protocol=2)


def test_all_languages_are_read_and_each_word_has_its_place(xtts: Xtts) -> None:
    told = json.loads(xtts.ask("xtts_languages.py", xtts.weights / "vocab.json"))
    assert len(told["languages"]) == 17
    for code, said in told["languages"].items():
        words = said["words"]
        assert words, code
        edges = [edge for word in words for edge in (word["first"], word["past"])]
        assert edges == sorted(edges), code
        assert 0 <= edges[0] <= edges[-1] <= len(said["spoken"]), code
        assert all(said["sounds"]), code
        shown = "".join(word["shown"] for word in words)
        assert shown == "".join(said["text"].split()).replace("—", " —"), code
    english = told["languages"]["en"]
    assert english["spoken"].startswith("doctor smith paid forty")
    assert english["words"][3]["shown"] == "$45.50 —", "a sign alone goes with the word before"
    assert told["languages"]["ja"]["spoken"].isascii()
    assert all(len(piece) <= 100 and piece.endswith((",", ".")) for piece in told["pieces"])


def test_both_stages_are_announced_with_what_they_lack(
    xtts: Xtts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"MYSPINBOT_PLUGINS": str(xtts.folder), "MYSPINBOT_HOME": str(tmp_path)}
    told = [engine.manifest() for engine in plugged_in(settings)]
    assert [each.kind for each in told] == ["synthesize_speech", "train_voice"]
    assert all(each.available and each.qualities == () for each in told)
    monkeypatch.delenv("MYSPINBOT_BASE_XTTS")
    monkeypatch.setenv("MYSPINBOT_MODELS", str(tmp_path / "models"))
    [lacking] = next(plugged_in(settings)).manifest().missing
    assert lacking.how_to_get == "myspinbot models pull xtts"
    assert "not for commercial use" in lacking.licence
