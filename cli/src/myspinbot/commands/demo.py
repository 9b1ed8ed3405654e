"""`myspinbot demo`: the main job from end to end, on the sample input or on one's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from contracts.consent import Basis, Likeness, Statement

from myspinbot import samples
from myspinbot.client import AsyncClient
from myspinbot.client.live import PATIENCE_S
from myspinbot.client.replies import JobDetail
from myspinbot.client.target import find_target
from myspinbot.commands.options import (
    ApiOption,
    HomeOption,
    JsonOption,
    examples,
    home_of,
    run,
)
from myspinbot.commands.submit import ConsentOption, PhotosOption, ScriptOption, VoiceOption
from myspinbot.commands.watch import follow
from myspinbot.consent import stated, statement
from myspinbot.embedded.home import Home
from myspinbot.errors import CommandError
from myspinbot.inputs import Inputs, find_photos, read_script, readable
from myspinbot.screen import err, json_line, plain

OUT = Path("out")
PURPOSE = "a demonstration"
RESULTS = {"lora": ".safetensors", "voice": ".safetensors", "video": ".mp4"}
"""The results that a demonstration ends with, and the endings of their files."""
_STARTING_S = 0.2


class NoResultError(CommandError):
    """The job has completed, but not with what a demonstration shows."""


@examples(
    "myspinbot demo",
    "myspinbot demo --photos ~/photos --voice me.wav --script 'Hello.' --consent myself",
)
def demo(
    photos: PhotosOption = None,
    voice: VoiceOption = None,
    script: ScriptOption = None,
    api: ApiOption = None,
    home: HomeOption = None,
    *,
    consent: ConsentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a talking video of the sample character, or of your own photos and voice.

    The sample is nobody: a drawn character and a packaged voice. Of your own you are asked whose it
    is, if --consent does not say.

    Uses the system that runs, or starts one and stops it at the end. The results are put
    into ./out/<job>/. --json tells each update on a line of its own, and the results last.
    """
    inputs = Inputs(
        photos=find_photos(photos or [samples.photos()]),
        voice=readable((voice or samples.voice()).expanduser(), "recording"),
        script=read_script(script) if script else samples.script(),
    )
    said = said_of(consent, own_face=bool(photos), own_voice=voice is not None)
    run(_demo(inputs, said, api, home_of(home), as_json=as_json))


def said_of(who: str | None, *, own_face: bool, own_voice: bool) -> Statement:
    """What is said of the sample, of what was given instead of it, or of one and the other."""
    own = [*([Likeness.FACE] if own_face else []), *([Likeness.VOICE] if own_voice else [])]
    said = stated(who, PURPOSE, own) if own else None
    if said is None:
        return statement(samples.WHO, Basis.NOBODY, PURPOSE, tuple(Likeness))
    if len(own) == len(Likeness):
        return said
    rest = samples.VOICE if own_face else samples.FACE
    return statement(f"{said.who}; {rest}", said.basis, PURPOSE, tuple(Likeness))


async def _demo(
    inputs: Inputs, consent: Statement, api: str | None, home: Home, *, as_json: bool
) -> None:
    async with (
        _system(api, home) as address,
        AsyncClient(find_target(address, home=home), patience_s=PATIENCE_S) as client,
    ):
        status = await client.jobs.create(
            photos=inputs.photos, clip=inputs.voice, script=inputs.script, consent=consent
        )
        err.print(f"Job {status.job_id}; see it at {address}", style="dim", markup=False)
        await follow(client, status.job_id, as_json=as_json)
        paths = await fetch(client, await client.jobs.get(status.job_id), OUT)
    if as_json:
        json_line({"jobId": status.job_id, **{name: str(path) for name, path in paths.items()}})
        return
    plain(f"job:   {status.job_id}")
    for output in RESULTS:
        plain(f"{output + ':':<6} {paths[output]}")


async def fetch(client: AsyncClient, job: JobDetail, out: Path) -> dict[str, Path]:
    """Download the results of a demonstration into a folder of the job's own."""
    links = {link.output: link for link in job.artifacts if link.index == 0}
    if missing := RESULTS.keys() - links.keys():
        raise NoResultError(
            f"The job {job.job_id} has completed without a {' and a '.join(sorted(missing))}.",
            "This is a fault of the system: please report it with the logs.",
        )
    paths = {name: out / job.job_id / f"{name}{ending}" for name, ending in RESULTS.items()}
    for name, path in paths.items():
        await client.artifacts.download(links[name], path)
    return paths


@contextlib.asynccontextmanager
async def _system(api: str | None, home: Home) -> AsyncIterator[str]:
    """The address of a system to use: the one that is named, that runs, or a new one."""
    if api is not None:
        yield api
    elif (running := await _running(home)) is not None:
        yield running
    else:
        async with _own_stack(home) as address:
            yield address


async def _running(home: Home) -> str | None:
    """The address of the system that runs, once it is ready; None if there is none."""
    while (note := home.running()) is not None:
        if note.ready:
            return note.api
        await asyncio.sleep(_STARTING_S)
    return None


@contextlib.asynccontextmanager
async def _own_stack(home: Home) -> AsyncIterator[str]:
    from myspinbot.embedded.stack import kept_running

    err.print(f"Starting the system on {home.root} …", style="dim", markup=False)
    async with kept_running(home) as note:
        try:
            yield note.api
        finally:
            err.print("Stopping the system …", style="dim")
