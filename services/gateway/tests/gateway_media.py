"""Small real files of the kinds that people send."""

from __future__ import annotations

import io
import wave

import numpy as np
from PIL import Image


def photo(width: int = 96, height: int = 128, kind: str = "PNG", seed: int = 1) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def recording(seconds: float = 1.0, amplitude: int = 9000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        wave_form = np.sin(np.arange(int(16_000 * seconds)) * 0.05) * amplitude
        sound.writeframes(wave_form.clip(-32_768, 32_767).astype("<i2").tobytes())
    return file.getvalue()


PHOTO = photo()
RECORDING = recording()
