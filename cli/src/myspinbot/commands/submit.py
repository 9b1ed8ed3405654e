"""`myspinbot submit`: ask for a training or a video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from myspinbot.client import Client
from myspinbot.commands.options import ApiOption, HomeOption, api_of, run
from myspinbot.commands.watch import follow
from myspinbot.errors import MISUSED, CommandError
from myspinbot.inputs import Inputs, find_photos, read_script, readable
from myspinbot.replies import Status
from myspinbot.screen import plain

PhotosOption = Annotated[
    list[str] | None,
    typer.Option(help="Photos of one person: a folder, or files. May be given several times."),
]
VoiceOption = Annotated[
    Path | None, typer.Option(help="A recording of the voice: wav, mp3, flac, ogg or m4a.")
]
ScriptOption = Annotated[
    str | None, typer.Option(help="What the video shall say, or @file to read it from.")
]


def submit(
    *,
    photos: PhotosOption = None,
    voice: VoiceOption = None,
    script: ScriptOption = None,
    profile: Annotated[
        str | None, typer.Option(help="Speak with this trained profile instead of photos.")
    ] = None,
    name: Annotated[str, typer.Option(help="What to call the profile.")] = "",
    prompt: Annotated[str, typer.Option(help="How the portrait should look.")] = "",
    follow_it: Annotated[bool, typer.Option("--watch", help="Follow the job to its end.")] = False,
    api: ApiOption = None,
    home: HomeOption = None,
) -> None:
    """Ask for a video (with --script) or a training alone (without); prints the job's id."""
    if not photos and not profile:
        raise CommandError(
            "There is no face: neither photos nor a profile.",
            "Give --photos, or the --profile of an earlier training.",
            MISUSED,
        )
    if profile and (photos or voice or not script):
        raise CommandError(
            "A profile has its own face and voice, and needs something to say.",
            "Give --script with --profile, and no --photos or --voice.",
            MISUSED,
        )
    inputs = Inputs(
        photos=find_photos(photos or []),
        voice=readable(voice.expanduser(), "recording") if voice else None,
        script=read_script(script) if script else "",
    )
    run(_submit(api_of(api, home), inputs, profile or "", name, prompt, follow_it=follow_it))


async def _submit(
    api: str, inputs: Inputs, profile: str, name: str, prompt: str, *, follow_it: bool
) -> None:
    async with Client(api) as client:
        status = await send(client, inputs, profile=profile, name=name, prompt=prompt)
        plain(status.job_id)
        if follow_it:
            await follow(client, status.job_id)


async def send(
    client: Client, inputs: Inputs, *, profile: str = "", name: str = "", prompt: str = ""
) -> Status:
    """Ask the gateway for the job that the inputs make."""
    if inputs.script:
        return await client.generate(
            inputs.photos,
            inputs.script,
            voice=inputs.voice,
            profile=profile,
            name=name,
            prompt=prompt,
        )
    return await client.train(inputs.photos, voice=inputs.voice, name=name, prompt=prompt)
