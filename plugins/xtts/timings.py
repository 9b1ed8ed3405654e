"""The timings of a speech, sentence by sentence, as the renderer of the video reads them."""

import numpy as np
from sounds import sounds

_FRAME_S = 0.01
_QUIET_DB = -40.0


def of_sentence(sentence, places, samples, rate):
    """(words, phonemes) of one sentence: (text, start, end) each, in seconds of its own sound.

    `places` (K + 1) are the shares of the sound at which each of its K spoken characters begins.
    """
    begin, end = _voiced(samples, rate)
    seconds = np.clip(np.asarray(places) * len(samples) / rate, begin, end)
    words, phonemes = [], []
    for word in sentence.words:
        start, past = float(seconds[word.first]), float(seconds[word.past])
        words.append((word.shown, start, past))
        said = sounds(sentence.spoken[word.first : word.past])
        edges = np.linspace(start, past, len(said) + 1)
        phonemes += [
            (symbol, float(edges[index]), float(edges[index + 1]))
            for index, symbol in enumerate(said)
            if edges[index + 1] > edges[index]
        ]
    return words, phonemes


def as_json(words, phonemes, duration, rate):
    """The artifact; a silence is a phoneme without a symbol."""
    filled, at = [], 0.0
    for symbol, start, end in phonemes:
        if start - at > _FRAME_S:
            filled.append(("", at, start))
        filled.append((symbol, start, end))
        at = end
    if duration - at > _FRAME_S or not filled:
        filled.append(("", at, duration))
    return {
        "sample_rate": rate,
        "duration": round(duration, 4),
        "phonemes": [_span("symbol", *each) for each in filled],
        "words": [_span("text", *each) for each in words],
    }


def _voiced(samples, rate):
    """From where to where something is heard, in seconds."""
    span = round(_FRAME_S * rate)
    frames = samples[: len(samples) // span * span].reshape(-1, span)
    level = np.sqrt((frames**2).mean(axis=1)) if len(frames) else np.zeros(0)
    heard = np.flatnonzero(level > level.max(initial=0.0) * 10 ** (_QUIET_DB / 20))
    if not len(heard):
        return 0.0, len(samples) / rate
    return heard[0] * _FRAME_S, (heard[-1] + 1) * _FRAME_S


def _span(name, text, start, end):
    return {name: text, "start": round(start, 4), "end": round(end, 4)}
