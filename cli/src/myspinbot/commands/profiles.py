"""`myspinbot profiles`: the persons that can speak."""

from __future__ import annotations

from typing import Annotated

import typer

from myspinbot.client.replies import Profile
from myspinbot.commands.completion import complete_profiles
from myspinbot.commands.options import Session, add, connected, examples, group
from myspinbot.commands.steer import YesOption, confirm
from myspinbot.screen import counted, hint, out, size, table, when

app = group("The persons that were trained and can speak.")
ProfileArgument = Annotated[
    str,
    typer.Argument(
        metavar="PROFILE",
        help="The profile's id.",
        show_default=False,
        autocompletion=complete_profiles,
    ),
]


@examples("myspinbot profiles list", "myspinbot profiles list --json | jq -r '.profiles[].name'")
@connected
async def list_profiles(
    session: Session,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many to show.")] = 50,
    before: Annotated[
        str | None,
        typer.Option(help="Only those older than this one: the next page.", show_default=False),
    ] = None,
) -> None:
    """List the profiles, newest first."""
    page = await session.client.profiles.list(before=before, limit=limit)

    def text() -> None:
        headings = ("profile", "name", "ready", "voice", "videos", "created")
        table(headings, (_cells(each) for each in page.profiles))
        if not page.profiles:
            hint("No profiles yet. `myspinbot submit ~/photos --name …` trains one.")
        if page.next:
            hint(f"There are more: myspinbot profiles list --before {page.next}")

    session.show(page, text)


@examples("myspinbot profiles show 01k9z3…")
@connected
async def show(session: Session, profile: ProfileArgument) -> None:
    """Show a profile, its files, and the jobs that were made with it."""
    found = await session.client.profiles.get(profile)

    def text() -> None:
        table(("profile", "name", "ready", "voice", "videos", "created"), [_cells(found)])
        out.print()
        links = ((a.output, size(a.size), a.media_type) for a in found.artifacts)
        table(("file", "size", "type"), links)
        out.print()
        jobs = ((j.job_id, j.type, j.status, when(j.created_at), j.name or "") for j in found.jobs)
        table(("job", "type", "status", "created", "name"), jobs)
        hint(f"`myspinbot submit --profile {profile} --script …` lets it speak.")

    session.show(found, text)


@examples("myspinbot profiles delete 01k9z3…")
@connected
async def delete(session: Session, profile: ProfileArgument, yes: YesOption = False) -> None:
    """Erase a person: face, voice, the training, and all videos of them. It cannot be undone."""
    if not yes:
        found = await session.client.profiles.get(profile)
        what = f"{counted(found.videos or 0, 'video')} and all other jobs made with it"
        confirm(f"Erase {found.name or profile} with face, voice, {what}?", yes=yes)
    await session.client.profiles.delete(profile)
    session.show({"deleted": profile}, lambda: hint(f"Deleted: {profile}."))


def _cells(profile: Profile) -> tuple[str, ...]:
    return (
        profile.profile_id,
        profile.name or "",
        "yes" if profile.ready else "not yet",
        "yes" if profile.has_voice else "no",
        "" if profile.videos is None else str(profile.videos),
        when(profile.created_at),
    )


add(app, "list", list_profiles)
add(app, "show", show)
add(app, "delete", delete)
