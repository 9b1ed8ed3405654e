"""The parts of a run in their order; each is skipped once what it makes is in the work folder.

figure/     MakeHuman's figure, from npm
pictures/   captioned pictures, a file for every chunk
start/      the codec as fitted: principal components and their inverse
codec/      the codec with its decoder trained
tokenizer/  the words
denoiser/   UNet and text encoder, averaged
"""

from __future__ import annotations

import fcntl
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from transformers import CLIPTokenizer

from pretrain import base, codec, crew, denoiser
from pretrain.dataset import Dataset, draw_chunks, join_chunks
from pretrain.files import replaced
from pretrain.people import figure
from pretrain.plan import Plan, PlanError
from pretrain.training import train

FIGURE = "figure"
DATA = "data.npz"

log = logging.getLogger(__name__)


def run(plan: Plan, work: Path, out: Path) -> None:
    """Do what is left of `plan` in `work`, then write the pipeline directory to `out`.

    Raises:
        PlanError: `work` holds a run under another plan, or one that is going on now.

    """
    work.mkdir(parents=True, exist_ok=True)
    with _alone(work):
        plan.bind(work)
        for made, part in (
            (FIGURE, _pull),
            (DATA, _draw),
            ("start", _fit),
            ("codec", _train_codec),
            ("tokenizer", _fit_tokenizer),
            ("denoiser", _train_denoiser),
        ):
            if (work / made).exists():
                log.info("%s is there", made)
            else:
                log.info("%s begins", made)
                part(plan, work)
        base.assemble(work, out)
        log.info("%s is written", out)


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PlanError(
                f"a run is going on in {work}: wait for it, or stop it first"
            ) from error
        yield


def _pull(_: Plan, work: Path) -> None:
    figure.pull(work / FIGURE)


def _draw(plan: Plan, work: Path) -> None:
    chunks = work / "pictures"
    crew.run(_draw_worker, plan.workers, plan, work, chunks)
    with replaced(work / DATA) as temporary, temporary.open("wb") as file:
        join_chunks(chunks).save(file)


def _draw_worker(member: crew.Crew, plan: Plan, work: Path, chunks: Path) -> None:
    draw_chunks(member, figure.load(work / FIGURE), plan, chunks)


def _fit(plan: Plan, work: Path) -> None:
    dataset = Dataset.load(work / DATA)
    fitted = codec.fit(codec.fitting_mix(dataset, plan.seed), plan.seed)
    with replaced(work / "start") as temporary:
        fitted.save_pretrained(temporary)


def _train_codec(plan: Plan, work: Path) -> None:
    crew.run(_codec_worker, plan.workers, plan, work)


def _codec_worker(member: crew.Crew, plan: Plan, work: Path) -> None:
    _log_to(work, member)
    start = AutoencoderTiny.from_pretrained(work / "start")
    dataset = Dataset.load(work / DATA)
    task = codec.CodecTask(start, dataset.images[~dataset.is_photo], plan)
    trained = train(member, task, plan, work, log.info)
    if member.leads:
        with replaced(work / "codec") as temporary:
            trained["codec"].save_pretrained(temporary)


def _fit_tokenizer(plan: Plan, work: Path) -> None:
    fitted = denoiser.fit_tokenizer(Dataset.load(work / DATA), plan.seed)
    with replaced(work / "tokenizer") as temporary:
        fitted.save_pretrained(temporary)


def _train_denoiser(plan: Plan, work: Path) -> None:
    crew.run(_denoiser_worker, plan.workers, plan, work)


def _denoiser_worker(member: crew.Crew, plan: Plan, work: Path) -> None:
    _log_to(work, member)
    task = denoiser.DenoiserTask(
        Dataset.load(work / DATA),
        AutoencoderTiny.from_pretrained(work / "codec"),
        CLIPTokenizer.from_pretrained(work / "tokenizer"),
        plan,
    )
    trained = train(member, task, plan, work, log.info)
    if member.leads:
        with replaced(work / "denoiser") as temporary:
            denoiser.save(trained, temporary)


def _log_to(work: Path, member: crew.Crew) -> None:
    """Logging of a worker process; the first one speaks for all."""
    level = logging.INFO if member.leads else logging.WARNING
    configure_logging(work, level)


def configure_logging(work: Path, level: int = logging.INFO) -> None:
    """Messages go to the standard error stream and to `run.log` in `work`."""
    work.mkdir(parents=True, exist_ok=True)
    handlers = [logging.StreamHandler(sys.stderr), logging.FileHandler(work / "run.log")]
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", handlers=handlers)
