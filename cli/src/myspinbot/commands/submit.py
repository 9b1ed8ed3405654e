"""`myspinbot submit`: ask for a training, a video, or a pipeline of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from contracts.consent import Likeness
from contracts.events import Quality

from myspinbot.client.replies import Status
from myspinbot.commands.completion import complete_pipelines, complete_profiles
from myspinbot.commands.options import Session, assignments, connected, examples
from myspinbot.commands.watch import follow
from myspinbot.consent import stated
from myspinbot.errors import MISUSED, CommandError
from myspinbot.inputs import find_photos, parameters, read_script, readable
from myspinbot.screen import document, hint, json_line, plain
from myspinbot.transfers import transfer_view

PhotosOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Photos of one person: a folder, or files. May be given several times.",
        show_default=False,
    ),
]
VoiceOption = Annotated[
    Path | None,
    typer.Option(help="A recording of the voice: wav, mp3, flac, ogg or m4a.", show_default=False),
]
ScriptOption = Annotated[
    str | None,
    typer.Option(
        help="What the video shall say: the text, @file to read it from, or - for the input.",
        show_default=False,
    ),
]
ConsentOption = Annotated[
    str | None,
    typer.Option(
        help="Whose face and voice it is: myself, the name of a person whose permission you have, "
        "or nobody if it is drawn or synthetic.",
        metavar="WHO",
        show_default=False,
    ),
]
PurposeOption = Annotated[
    str | None,
    typer.Option(help="What they may be used for.", show_default=False),
]
TopicOption = Annotated[
    str | None,
    typer.Option(
        help="What the video shall be about, where there is no --script: the words are written.",
        show_default=False,
    ),
]
MusicOption = Annotated[
    Path | None,
    typer.Option(
        help="Music under the speech: wav, mp3, flac, ogg or m4a. It is repeated to its length.",
        show_default=False,
    ),
]
QualityOption = Annotated[
    Quality | None,
    typer.Option(
        help="draft, standard or best; `myspinbot models` tells how long each takes.",
        metavar="QUALITY",
        show_default=False,
    ),
]
EngineOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Which engine does a kind of stage, as kind=engine. May be given several times.",
        metavar="KIND=ENGINE",
        show_default=False,
        rich_help_panel="Fine tuning",
    ),
]
ParamOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A parameter of an engine, as kind.name=value. May be given several times.",
        metavar="KIND.NAME=VALUE",
        show_default=False,
        rich_help_panel="Fine tuning",
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="The same seed and input make the same result.",
        show_default=False,
        rich_help_panel="Fine tuning",
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        help="The same key makes the same job once, however often this is sent.",
        show_default=False,
        rich_help_panel="Fine tuning",
    ),
]
WatchOption = Annotated[bool, typer.Option("--watch/--no-watch", help="Follow the job to its end.")]


@examples(
    "myspinbot submit ~/photos --voice me.wav --script 'Hello, it is me.' "
    "--consent myself --purpose 'a greeting'",
    "myspinbot submit a.jpg b.jpg --name Ada --consent 'Ada Lovelace' --purpose 'her own talks'",
    "myspinbot submit --profile 01k9z3… --script @speech.txt --quality best",
    "myspinbot submit ~/photos --topic 'my garden in spring' --param write_script.seconds=30",
    "myspinbot submit ~/photos --param train_lora.steps=800 --engine render_video=warp",
)
@connected
async def submit(
    session: Session,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="PHOTOS", help="Photos: a folder, or files.", show_default=False),
    ] = None,
    *,
    photos: PhotosOption = None,
    voice: VoiceOption = None,
    script: ScriptOption = None,
    topic: TopicOption = None,
    music: MusicOption = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help="Speak with this trained profile instead of photos.",
            show_default=False,
            autocompletion=complete_profiles,
        ),
    ] = None,
    pipeline: Annotated[
        str | None,
        typer.Option(
            help="Run this pipeline; see `myspinbot pipelines`.",
            show_default=False,
            autocompletion=complete_pipelines,
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="What to call the profile.", show_default=False)] = "",
    consent: ConsentOption = None,
    purpose: PurposeOption = None,
    prompt: Annotated[
        str, typer.Option(help="How the portrait should look.", show_default=False)
    ] = "",
    quality: QualityOption = None,
    engine: EngineOption = None,
    param: ParamOption = None,
    seed: SeedOption = None,
    idempotency_key: KeyOption = None,
    watch: WatchOption = False,
) -> None:
    """Ask for a video (with --script or --topic) or a training alone; prints the job's id.

    Files that the system has already are not sent again, and large ones go on where a broken
    connection left off. Whoever uses a face or a voice says whose it is; a trained profile is
    used for what was agreed to when it was trained.
    """
    faces = [*(files or []), *(photos or [])]
    _check(bool(faces), profile, voice, script or topic, pipeline)
    found = find_photos(faces)
    clip = readable(voice.expanduser(), "recording") if voice else None
    under = readable(music.expanduser(), "music") if music else None
    covers = [*([Likeness.FACE] if found else []), *([Likeness.VOICE] if clip else [])]
    said = stated(consent, purpose, covers)
    sent = [*found, *(sound for sound in (clip, under) if sound)]
    with transfer_view("Sending", sent) as on_sent:
        status = await session.client.jobs.create(
            photos=found,
            clip=clip,
            music=under,
            script="" if script is None else read_script(script),
            topic=topic or "",
            profile=profile,
            pipeline=pipeline,
            consent=said,
            name=name,
            prompt=prompt,
            quality=quality,
            engines=assignments(engine or [], "--engine"),
            params=parameters(param or []),
            seed=seed,
            idempotency_key=idempotency_key,
            on_sent=on_sent,
        )
    await told(session, status, watch=watch)


async def told(session: Session, status: Status, *, watch: bool) -> None:
    """Say which job was made, and follow it if that is wanted."""
    if session.as_json:
        (json_line if watch else document)(status)
    else:
        plain(status.job_id)
    if watch:
        await follow(session.client, status.job_id, as_json=session.as_json)
    elif not session.as_json:
        hint(f"`myspinbot watch {status.job_id}` follows it.")


def _check(
    faces: bool, profile: str | None, voice: Path | None, words: str | None, pipeline: str | None
) -> None:
    if not faces and not profile and not pipeline:
        raise CommandError(
            "There is no face: neither photos nor a profile.",
            "Give photos, or the --profile of an earlier training.",
            MISUSED,
        )
    if profile and not pipeline and (faces or voice or words is None):
        raise CommandError(
            "A profile has its own face and voice, and needs something to say.",
            "Give --script or --topic with --profile, and no photos or --voice.",
            MISUSED,
        )
