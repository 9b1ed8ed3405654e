"""`train_voice`: the voice of a clip, and if wanted a training of the GPT on it."""

import json
import signal
from pathlib import Path

import clip
import fine_tuning
import script
import soundfile
import speaking
import voices
import weights
from telling import UnusableError

PREVIEWS = json.loads((Path(__file__).parent / "previews.json").read_text(encoding="utf-8"))


def learn(job, say):
    """Outputs and metrics of the stage; UnusableError if clip or transcript are not right."""
    params, folder, output = job["params"], Path(job["weights"]), Path(job["output"])
    steps = params["fine_tune_steps"]
    if steps and not params["transcript"].strip():
        raise UnusableError(
            "transcript-missing",
            "to train on a clip, what is said in it must be known",
            "Give it as the parameter transcript, or set fine_tune_steps to 0",
        )
    asked = _Asked()
    samples = clip.read(Path(job["inputs"]["clip"][0]))
    say("progress", done=0, total=steps + 1, unit="step", message="loading the weights")
    model = weights.load(folder, job["device"])
    reference = samples[:, : params["reference_seconds"] * clip.RATE].to(model.device)
    trained = _trained(job, model, samples, asked, say) if steps else {}
    voice = voices.Voice(
        style=model.get_gpt_cond_latents(
            reference,
            clip.RATE,
            length=params["reference_seconds"],
            chunk_length=model.config.gpt_cond_chunk_len,
        ),
        timbre=model.get_speaker_embedding(reference, clip.RATE),
        trained=trained,
        about={
            "clip_seconds": round(samples.shape[1] / clip.RATE, 2),
            "fine_tune_steps": steps,
            "language": params["language"],
        },
    )
    code = params["language"].split("-")[0]
    sentence = script.sentence(PREVIEWS[code], code, model.tokenizer)
    said = speaking.utter(model, sentence, voice, speaking.Manner(params["language"]), job["seed"])
    voices.save(output / "voice.safetensors", voice, weights.identity(folder))
    rate = model.args.output_sample_rate
    soundfile.write(output / "preview.wav", speaking.levelled(said.samples), rate)
    metrics = {
        **voice.about,
        "similarity_preview": speaking.likeness(model, said.samples, voice),
        "trained_parameters": sum(each.numel() for each in trained.values()),
    }
    (output / "report.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")
    say("sample", path="preview.wav", caption="preview", step=steps)
    say("progress", done=steps + 1, total=steps + 1, unit="step")
    outputs = {
        "voice": ["voice.safetensors"],
        "preview": ["preview.wav"],
        "report": ["report.json"],
    }
    return outputs, metrics


def _trained(job, model, samples, asked, say):
    params = job["params"]
    code = params["language"].split("-")[0]
    sentence = script.sentence(params["transcript"], code, model.tokenizer)
    ids = speaking.encode(model.tokenizer, sentence, params["language"]).ids
    codec = weights.load_codec(Path(job["weights"]), model)
    lesson = fine_tuning.prepare(model, codec, samples, ids)
    plan = fine_tuning.Plan(
        params["fine_tune_steps"],
        params["rank"],
        params["learning_rate"],
        params["checkpoint_every"],
        job["seed"],
    )
    return fine_tuning.train(
        model, lesson, plan, resume=job["resume"], scratch=job["scratch"], asked=asked, say=say
    )


class _Asked:
    """Whether a runner that is about to stop wants a checkpoint; told once for each time."""

    def __init__(self):
        self._wanted = False
        signal.signal(signal.SIGTERM, self._hear)

    def __call__(self):
        wanted, self._wanted = self._wanted, False
        return wanted

    def _hear(self, _signal, _frame):
        self._wanted = True
