"""`synthesize_speech`: a script in a voice, sentence by sentence."""

import json
from dataclasses import dataclass
from pathlib import Path

import alignment
import fine_tuning
import numpy as np
import script
import soundfile
import timings
import torch
import voices
import weights
from telling import UnusableError

_LEVEL_DBFS = -20.0
_PEAK = 0.97
_TRIES = 2
_TOP_K, _TOP_P = 50, 0.85


@dataclass(frozen=True)
class Manner:
    """How to speak."""

    language: str
    speed: float = 1.0
    temperature: float = 0.75
    repetition_penalty: float = 10.0


@dataclass(frozen=True)
class Said:
    """A sentence in sound: samples, where its spoken characters are in them, whether it ended."""

    samples: np.ndarray
    places: np.ndarray
    ended: bool


def speak(job, say):
    """Outputs and metrics of the stage; UnusableError if script or voice are not right."""
    params, folder, output = job["params"], Path(job["weights"]), Path(job["output"])
    if not job["inputs"].get("voice"):
        raise UnusableError(
            "voice-missing",
            "XTTS speaks in a voice that was taken from a clip, and there is none",
            "Give a voice clip, or choose another engine",
        )
    voice = voices.load(Path(job["inputs"]["voice"][0]), weights.identity(folder))
    say("progress", done=0, total=1, unit="sentence", message="loading the weights")
    model = weights.load(folder, job["device"])
    fine_tuning.merge(model, voice.trained)
    sentences = script.read(
        Path(job["inputs"]["script"][0]),
        params["language"],
        model.tokenizer,
        params["max_characters"],
    )
    manner = Manner(
        params["language"], params["speed"], params["temperature"], params["repetition_penalty"]
    )
    take = Take(model.args.output_sample_rate, params["pause"])
    unended = 0
    for index, sentence in enumerate(sentences):
        said = utter(model, sentence, voice, manner, job["seed"] + index)
        unended += not said.ended
        take.add(sentence, said)
        if index == 0:
            first = Path(job["scratch"]) / "first-sentence.wav"
            soundfile.write(first, levelled(said.samples), take.rate)
            say("sample", path=str(first), caption="first sentence", step=1)
        say("progress", done=index + 1, total=len(sentences), unit="sentence")
    if unended:
        say("line", level="warning", message=f"{unended} sentences did not end by themselves")
    samples = take.samples()
    duration = len(samples) / take.rate
    soundfile.write(output / "speech.wav", levelled(samples), take.rate, subtype="PCM_16")
    told = timings.as_json(take.words, take.phonemes, duration, take.rate)
    (output / "timings.json").write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    metrics = {
        "duration": round(duration, 3),
        "sentences": len(sentences),
        "words": len(take.words),
        "unended_sentences": unended,
        "similarity": likeness(model, samples, voice),
        "timings": "approximate",
    }
    return {"speech": ["speech.wav"], "timings": ["timings.json"]}, metrics


class Take:
    """All sentences one after the other, with their timings."""

    def __init__(self, rate, pause_s):
        self.rate = rate
        self.words, self.phonemes = [], []
        self._pause = np.zeros(round(pause_s * rate), np.float32)
        self._parts, self._length = [], 0

    def add(self, sentence, said):
        """Put a sentence at the end."""
        if self._parts:
            self._append(self._pause)
        begin = self._length / self.rate
        own = timings.of_sentence(sentence, said.places, said.samples, self.rate)
        for spans, new in zip((self.words, self.phonemes), own, strict=True):
            spans += [(text, begin + start, begin + end) for text, start, end in new]
        self._append(said.samples)

    def samples(self):
        """The whole of it."""
        return np.concatenate(self._parts)

    def _append(self, samples):
        self._parts.append(samples)
        self._length += len(samples)


@torch.inference_mode()
def utter(model, sentence, voice, manner, seed):
    """Say one sentence. What does not end by itself is tried again once."""
    tokens = encode(model.tokenizer, sentence, manner.language)
    if len(tokens.ids) >= model.args.gpt_max_text_tokens:
        raise UnusableError(
            "sentence-too-long",
            f"a sentence has {len(tokens.ids)} tokens, at most {model.args.gpt_max_text_tokens - 1}"
            " are spoken at once",
            "Write shorter sentences",
        )
    ids = torch.tensor([tokens.ids], device=model.device)
    style, timbre = voice.style.to(model.device), voice.timbre.to(model.device)
    for attempt in range(_TRIES):
        weights.seed_all(seed + 1_000_003 * attempt)
        codes = model.gpt.generate(
            cond_latents=style,
            text_inputs=ids,
            do_sample=True,
            top_p=_TOP_P,
            top_k=_TOP_K,
            temperature=manner.temperature,
            repetition_penalty=manner.repetition_penalty,
            num_return_sequences=1,
            num_beams=1,
            output_attentions=False,
        )
        # What generates stops after its end token, or where there is no more room.
        ended = bool((codes[0, -1] == model.gpt.stop_audio_token).item())
        if ended:
            break
    if ended and codes.shape[1] > 1:
        codes = codes[:, :-1]
    latents = model.gpt(
        ids,
        torch.tensor([ids.shape[1]], device=model.device),
        codes,
        torch.tensor([codes.shape[1] * model.gpt.code_stride_len], device=model.device),
        cond_latents=style,
        return_latent=True,
    )
    if manner.speed != 1.0:
        latents = torch.nn.functional.interpolate(
            latents.transpose(1, 2), scale_factor=1 / manner.speed, mode="linear"
        ).transpose(1, 2)
    samples = model.hifigan_decoder(latents, g=timbre).flatten().cpu().numpy()
    edges = alignment.token_edges(model, ids, codes, style)
    return Said(samples.astype(np.float32), _places(tokens, edges, len(sentence.spoken)), ended)


def encode(tokenizer, sentence, language):
    """The tokens of a sentence that is cleaned already; see VoiceBpeTokenizer.encode."""
    spoken = sentence.spoken.replace(" ", "[SPACE]")
    return tokenizer.tokenizer.encode(f"[{language}]{spoken}")


def likeness(model, samples, voice):
    """How like the clip's voice a speech is to the model's own ear: a cosine, 1 is the same."""
    heard = model.get_speaker_embedding(
        torch.from_numpy(samples)[None].to(model.device), model.args.output_sample_rate
    )
    cosine = torch.nn.functional.cosine_similarity(
        heard.flatten().cpu(), voice.timbre.flatten().cpu(), dim=0
    )
    return round(float(cosine), 4)


def levelled(samples):
    """As loud as speech is, without clipping."""
    power = float(np.sqrt(np.mean(samples**2))) or 1.0
    gain = 10 ** (_LEVEL_DBFS / 20) / power
    return samples * min(gain, _PEAK / max(float(np.abs(samples).max()), 1e-6))


def _places(tokens, edges, characters):
    """The shares of the sound at which each character begins, of the edges of the tokens."""
    counts = [
        0 if special and token != "[SPACE]" else 1 if special else end - start  # noqa: S105
        for token, (start, end), special in zip(
            tokens.tokens, tokens.offsets, _are_special(tokens.tokens), strict=True
        )
    ]
    at = np.concatenate(([0], np.cumsum(counts)))
    return np.interp(np.arange(characters + 1), at, edges)


def _are_special(tokens):
    return [token.startswith("[") and token.endswith("]") for token in tokens]
