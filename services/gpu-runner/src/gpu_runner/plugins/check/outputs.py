"""Whether outputs are what the stages after it can use, for each kind of stage."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image
from pydantic import ValidationError

from gpu_runner.engines.warp.timings import Timings
from gpu_runner.media.video import stream_lengths

_APART_S = 0.1
_SMALLEST_PICTURE = 64

Outputs = Mapping[str, Sequence[Path]]


class OutputError(Exception):
    """An output is not as its kind asks. The message says which and why."""


def check(kind: str, outputs: Outputs, inputs: Outputs) -> str:
    """What was found, in a few words; OutputError if something is missing or wrong."""
    wanted = _OUTPUTS.get(kind, {})
    if lacking := [name for name in wanted if not outputs.get(name)]:
        raise OutputError(f"{kind} must have the outputs {', '.join(wanted)}: no {lacking[0]}")
    told = [look(outputs[name][0], name) for name, look in wanted.items()]
    for name, files in outputs.items():
        if any(not file.stat().st_size for file in files):
            raise OutputError(f"a file of {name} is empty")
    if kind == "render_video" and "speech" in inputs:
        _same_length(outputs["video"][0], inputs["speech"][0])
    return ", ".join(told) or f"{sum(map(len, outputs.values()))} files"


def _video(path: Path, name: str) -> str:
    try:
        with av.open(str(path)) as container:
            if not (container.streams.video and container.streams.audio):
                raise OutputError(f"{name} lacks its picture or its sound")
            pictures = sum(1 for _ in container.decode(container.streams.video[0]))
        lengths = stream_lengths(path)
    except (av.FFmpegError, IndexError) as error:
        raise OutputError(f"{name} is no video that can be read") from error
    if pictures < 2 or abs(lengths.video - lengths.audio) > _APART_S:
        raise OutputError(
            f"{name} has {pictures} pictures, {lengths.video:.2f} s of picture and "
            f"{lengths.audio:.2f} s of sound"
        )
    return f"{name} of {lengths.video:.2f} s"


def _same_length(video: Path, speech: Path) -> None:
    said, shown = soundfile.info(speech).duration, stream_lengths(video).video
    if abs(said - shown) > 2 * _APART_S:
        raise OutputError(f"the video takes {shown:.2f} s, the speech {said:.2f} s")


def _picture(path: Path, name: str) -> str:
    try:
        with Image.open(path) as picture:
            picture.load()
            size = picture.size
    except (OSError, SyntaxError, ValueError) as error:
        raise OutputError(f"{name} is no picture that can be read") from error
    if min(size) < _SMALLEST_PICTURE:
        raise OutputError(f"{name} is only {size[0]}x{size[1]} pixels")
    return f"{name} of {size[0]}x{size[1]}"


def _sound(path: Path, name: str) -> str:
    try:
        samples, rate = soundfile.read(path, dtype="float32")
    except (soundfile.SoundFileError, OSError) as error:
        raise OutputError(f"{name} is no sound that can be read") from error
    if not len(samples) or not np.isfinite(samples).all() or not samples.any():
        raise OutputError(f"{name} is silent or not finite")
    return f"{name} of {len(samples) / rate:.2f} s"


def _timings(path: Path, name: str) -> str:
    try:
        found = Timings.model_validate_json(path.read_bytes())
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise OutputError(f"{name} is not as agreed at {where or 'its top'}") from error
    return f"{name} of {len(found.phonemes)} phonemes"


def _report(path: Path, name: str) -> str:
    try:
        json.loads(path.read_bytes())
    except ValueError as error:
        raise OutputError(f"{name} is no JSON") from error
    return name


def _safetensors(path: Path, name: str) -> str:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as tensors:
            names = list(tensors.keys())
    except (SafetensorError, OSError) as error:
        raise OutputError(f"{name} is no safetensors file") from error
    if not names:
        raise OutputError(f"{name} has no tensors")
    return f"{name} of {len(names)} tensors"


def _text(path: Path, name: str) -> str:
    try:
        words = path.read_text("utf-8").split()
    except UnicodeDecodeError as error:
        raise OutputError(f"{name} is no UTF-8 text") from error
    if not words:
        raise OutputError(f"{name} has no words")
    return f"{name} of {len(words)} words"


def _any_file(path: Path, name: str) -> str:
    return f"{name} of {path.stat().st_size} bytes"


_OUTPUTS: Mapping[str, Mapping[str, Callable[[Path, str], str]]] = {
    "prepare_dataset": {"faces": _picture},
    "train_lora": {"lora": _safetensors},
    "train_voice": {"voice": _any_file},
    "write_script": {"script": _text},
    "synthesize_speech": {"speech": _sound, "timings": _timings},
    "upscale": {"picture": _picture},
    "generate_portrait": {"portrait": _picture},
    "render_video": {"video": _video, "poster": _picture, "report": _report},
}
