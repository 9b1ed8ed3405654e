"""Small inputs for each kind of stage, drawn and computed: whole, and broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image, ImageDraw, ImageFilter

RATE = 24_000
_WORDS = ("Hello", "from", "a", "small", "test")
_WORD_S = 0.28
_PITCH_HZ = 130.0
_BROKEN = b"this is no picture, no sound and no JSON \xff\x00" * 8

Inputs = dict[str, list[Path]]


def make(kind: str, folder: Path) -> Inputs:
    """Inputs as the stages before it would hand them over; empty for a kind that is not ours."""
    folder.mkdir(parents=True)
    return {name: _MAKERS[name](folder) for name in _INPUTS.get(kind, ())}


def broken(inputs: Mapping[str, list[Path]], folder: Path, names: tuple[str, ...]) -> Inputs:
    """The same inputs, those of some names with nothing readable in them."""
    folder.mkdir(parents=True)
    made = {name: list(files) for name, files in inputs.items()}
    for name in names:
        made[name] = [
            folder / f"{name}{index}{path.suffix}" for index, path in enumerate(made[name])
        ]
        for path in made[name]:
            path.write_bytes(_BROKEN)
    return made


def _portrait(folder: Path) -> list[Path]:
    """A head and shoulders before a plain wall, 320 pixels wide."""
    picture = Image.new("RGB", (320, 320), (176, 190, 197))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((40, 250, 280, 460), fill=(62, 84, 120))
    draw.rectangle((136, 210, 184, 270), fill=(214, 168, 140))
    draw.ellipse((88, 50, 232, 190), fill=(66, 44, 34))
    draw.ellipse((100, 70, 220, 236), fill=(228, 184, 156))
    for left in (122, 170):
        draw.ellipse((left, 132, left + 28, 148), fill=(250, 250, 250))
        draw.ellipse((left + 8, 132, left + 22, 148), fill=(70, 50, 40))
        draw.arc((left - 2, 112, left + 30, 132), 200, 340, fill=(66, 44, 34), width=4)
    draw.line((160, 146, 153, 180, 164, 182), fill=(190, 140, 116), width=3)
    draw.ellipse((138, 196, 182, 210), fill=(176, 86, 84))
    path = folder / "portrait.png"
    picture.filter(ImageFilter.GaussianBlur(0.8)).save(path)
    return [path]


def _photos(folder: Path) -> list[Path]:
    [first] = _portrait(folder)
    with Image.open(first) as portrait:
        paths = [folder / f"photo{index}.jpg" for index in range(3)]
        for index, path in enumerate(paths):
            portrait.rotate(4 * (index - 1), fillcolor=(176, 190, 197)).save(path)
    return paths


def _voiced(folder: Path, name: str) -> Path:
    """A buzz with the loudness of words, 24 kHz mono."""
    length = round((len(_WORDS) * _WORD_S + 0.4) * RATE)
    time = np.arange(length) / RATE
    within = (time - 0.2) / _WORD_S % 1
    spoken = (time >= 0.2) & (time < 0.2 + len(_WORDS) * _WORD_S) & (within < 0.8)
    loudness = np.where(spoken, np.sin(np.pi * np.clip(within / 0.8, 0, 1)), 0)
    buzz = sum(np.sin(2 * np.pi * _PITCH_HZ * k * time) / k for k in range(1, 12))
    path = folder / name
    soundfile.write(path, (0.2 * loudness * buzz).astype(np.float32), RATE)
    return path


def _speech(folder: Path) -> list[Path]:
    return [_voiced(folder, "speech.wav")]


def _clip(folder: Path) -> list[Path]:
    return [_voiced(folder, "clip.wav")]


def _timings(folder: Path) -> list[Path]:
    starts = [0.2 + index * _WORD_S for index in range(len(_WORDS))]
    spans = [{"start": start, "end": start + 0.8 * _WORD_S} for start in starts]
    timings = {
        "sample_rate": RATE,
        "duration": len(_WORDS) * _WORD_S + 0.4,
        "phonemes": [{"symbol": "ɑ", **span} for span in spans],  # noqa: RUF001 - IPA
        "words": [{"text": word, **span} for word, span in zip(_WORDS, spans, strict=True)],
    }
    path = folder / "timings.json"
    path.write_text(json.dumps(timings), encoding="utf-8")
    return [path]


def _script(folder: Path) -> list[Path]:
    path = folder / "script.txt"
    path.write_text(" ".join(_WORDS) + ".", encoding="utf-8")
    return [path]


def _topic(folder: Path) -> list[Path]:
    path = folder / "topic.txt"
    path.write_text("a small test", encoding="utf-8")
    return [path]


_MAKERS: Mapping[str, Callable[[Path], list[Path]]] = {
    "portrait": _portrait,
    "picture": _portrait,
    "photos": _photos,
    "faces": _photos,
    "clip": _clip,
    "speech": _speech,
    "timings": _timings,
    "script": _script,
    "topic": _topic,
}
_INPUTS: Mapping[str, tuple[str, ...]] = {
    "prepare_dataset": ("photos", "clip"),
    "train_lora": ("faces",),
    "train_voice": ("clip",),
    "write_script": ("topic",),
    "synthesize_speech": ("script",),
    "generate_portrait": ("faces",),
    "upscale": ("picture",),
    "render_video": ("portrait", "speech", "timings"),
}
