"""When each character of a sentence is said, as far as the GPT's attention tells.

While it speaks, some of its heads look at the text that they are about to say. Which ones was never
published, so those are taken whose look moves on through the text most steadily (as in Whisper's
word timings); the best monotonic path through them is found by dynamic programming, with a mild
belief that text passes evenly. Times have steps of one code, 46 ms.
"""

from contextlib import contextmanager

import numpy as np
import torch

_HEADS = 8
_EVENNESS = 0.2
"""Spread of that belief, relative to the sentence."""


def token_edges(model, text_ids, codes, style):
    """Where each token begins and the last one ends, as shares of the sentence's sound.

    `text_ids` (1, N), `codes` (1, M), `style` (1, prompt, width): N + 1 numbers from 0 to 1.
    """
    looks = _looks(model.gpt, text_ids, codes, style)
    return monotonic_edges(_steadiest(looks))


def monotonic_edges(weights):
    """The edges of tokens on the best path through weights (frames, tokens), shares of frames."""
    frames, tokens = weights.shape
    if frames < 2 * tokens or tokens == 0:
        return np.linspace(0, 1, tokens + 1)
    at = (np.arange(frames)[:, None] + 0.5) / frames
    where = (np.arange(tokens)[None] + 0.5) / tokens
    score = np.log(weights + 1e-6) - 0.5 * ((at - where) / _EVENNESS) ** 2
    best = np.full(tokens, -np.inf)
    best[0] = score[0, 0]
    moved = np.zeros((frames, tokens), bool)
    for frame in range(1, frames):
        before = np.concatenate(([-np.inf], best[:-1]))
        moved[frame] = before > best
        best = np.maximum(before, best) + score[frame]
    edges = np.empty(tokens + 1)
    edges[tokens], token = frames, tokens - 1
    for frame in range(frames - 1, 0, -1):
        if moved[frame, token]:
            edges[token] = frame
            token -= 1
    edges[0] = 0
    return edges / frames


def _steadiest(looks):
    """Mean of those (heads, frames, tokens) whose look moves on most steadily; rows sum to 1."""
    looks = looks / (looks.sum(axis=2, keepdims=True) + 1e-9)
    centre = looks @ np.arange(looks.shape[2])
    centre = centre - centre.mean(axis=1, keepdims=True)
    time = np.arange(looks.shape[1]) - (looks.shape[1] - 1) / 2
    spread = np.sqrt((centre**2).sum(axis=1) * (time**2).sum()) + 1e-9
    steadiness = (centre @ time) / spread
    return looks[np.argsort(steadiness)[-_HEADS:]].mean(axis=0)


@torch.inference_mode()
def _looks(gpt, text_ids, codes, style):
    """What all heads look at, (heads of all layers, M, N), from frames of sound to the text."""
    text, _ = gpt.set_inputs_and_targets(
        torch.nn.functional.pad(text_ids, (0, 1), value=gpt.stop_text_token),
        gpt.start_text_token,
        gpt.stop_text_token,
    )
    sound = torch.nn.functional.pad(codes, (1, 0), value=gpt.start_audio_token)
    parts = (
        style,
        gpt.text_embedding(text) + gpt.text_pos_embedding(text),
        gpt.mel_embedding(sound) + gpt.mel_pos_embedding(sound),
    )
    first_text = style.shape[1] + 1
    first_frame = style.shape[1] + text.shape[1]
    columns = slice(first_text, first_text + text_ids.shape[1])
    rows = slice(first_frame, first_frame + codes.shape[1])
    kept = []

    def keep(_module, _inputs, outputs):
        kept.append(outputs[1][0, :, rows, columns].float().cpu().numpy())

    with _looking(gpt.gpt, keep):
        gpt.gpt(inputs_embeds=torch.cat(parts, dim=1), use_cache=False)
    return np.concatenate(kept)


@contextmanager
def _looking(transformer, keep):
    """Attention is computed so that its weights are told, layer by layer: all would not fit."""
    usual = transformer.config._attn_implementation  # noqa: SLF001 - it has no other name
    transformer.set_attn_implementation("eager")
    hooks = [layer.attn.register_forward_hook(keep) for layer in transformer.h]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        transformer.set_attn_implementation(usual)
