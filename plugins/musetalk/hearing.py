"""What MuseTalk hears: for each frame, Whisper's layers around its moment.

Written after how MuseTalk 1.5 prepares sound (TMElyralab/MuseTalk, MIT, `audio_processor.py`).
"""

import math

import numpy as np
import torch
from gpu_runner.speech.sound import resample

RATE = 16_000
# Whisper looks at half a minute at once, and has 50 states for each second.
SEGMENT, STATES = 30 * RATE, 50
# States before and after a frame's own, in frames of 25 a second, each of which has two.
BEFORE = AFTER = 2
PER_FRAME = 2 * (BEFORE + 1 + AFTER)


@torch.no_grad()
def hear(loaded, sound, rate):
    """All states [times, layers, width] of a speech `sound` (n,) at `rate` hertz."""
    heard = resample(sound, rate, RATE)
    states = []
    for start in range(0, len(heard), SEGMENT):
        spectrum = loaded.spectrum(
            heard[start : start + SEGMENT], sampling_rate=RATE, return_tensors="pt"
        ).input_features
        layers = loaded.ears(
            spectrum.to(loaded.device, loaded.dtype), output_hidden_states=True
        ).hidden_states
        states.append(torch.stack(layers, dim=2)[0].cpu())
    return torch.cat(states)[: math.ceil(len(heard) / RATE * STATES)]


def around(states, frame, fps):
    """What frame number `frame` hears [PER_FRAME x layers, width], with sines for the order."""
    silence = math.ceil(STATES / fps) * BEFORE
    first = math.floor(frame * STATES / fps) - silence
    window = torch.zeros(PER_FRAME, *states.shape[1:], dtype=states.dtype)
    begin, end = max(0, first), min(len(states), first + PER_FRAME)
    if begin < end:
        window[begin - first : end - first] = states[begin:end]
    flat = window.flatten(0, 1)
    return flat + _sines(*flat.shape).to(flat.dtype)


def _sines(length, width):
    """Positions as sines and cosines (Vaswani et al. 2017), [length, width]."""
    place = np.arange(length)[:, None]
    rates = np.exp(np.arange(0, width, 2) * (-math.log(10_000.0) / width))
    table = np.zeros((length, width), np.float32)
    table[:, 0::2] = np.sin(place * rates)
    table[:, 1::2] = np.cos(place * rates)
    return torch.from_numpy(table)
