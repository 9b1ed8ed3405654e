"""`myspinbot backup` and `restore`: everything that must not be lost, in one folder, and back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from myspinbot.commands.options import HomeOption, JsonOption, examples, home_of, run
from myspinbot.errors import MISUSED, CommandError
from myspinbot.screen import document, hint, plain, size

if TYPE_CHECKING:
    from myspinbot.backup.installation import Installation, Remote
    from myspinbot.backup.restoring import Restored
    from myspinbot.backup.shelf import Backup
    from myspinbot.embedded.home import Home

_ELSEWHERE = "Another installation"

NatsOption = Annotated[
    str | None,
    typer.Option(
        "--nats",
        envvar="MYSPINBOT_NATS_URL",
        help="Broker of another installation (default: the local system).",
        metavar="URL",
        show_default=False,
        rich_help_panel=_ELSEWHERE,
    ),
]
SeedOption = Annotated[
    Path | None,
    typer.Option(
        "--seed",
        envvar="MYSPINBOT_NATS_SEED",
        help="File with the nkey seed of its user `admin`.",
        metavar="FILE",
        show_default=False,
        rich_help_panel=_ELSEWHERE,
    ),
]
EndpointOption = Annotated[
    str | None,
    typer.Option(
        "--s3-endpoint",
        envvar="MYSPINBOT_S3_ENDPOINT",
        help="Its object store; the keys are taken from MYSPINBOT_S3_ACCESS_KEY and "
        "MYSPINBOT_S3_SECRET_KEY.",
        metavar="URL",
        show_default=False,
        rich_help_panel=_ELSEWHERE,
    ),
]
BucketOption = Annotated[
    str | None,
    typer.Option(
        "--s3-bucket",
        envvar="MYSPINBOT_S3_BUCKET",
        help="Its bucket.",
        metavar="NAME",
        show_default=False,
        rich_help_panel=_ELSEWHERE,
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        envvar="MYSPINBOT_DATABASE_URL",
        help="Its database; without it the views are left out, and filled from the log later.",
        metavar="URL",
        show_default=False,
        rich_help_panel=_ELSEWHERE,
    ),
]


@examples(
    "myspinbot backup",
    "myspinbot backup /mnt/disk/spinbot --keep 7",
    "myspinbot backup --verify /mnt/disk/spinbot",
)
def backup(
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="TARGET",
            help="Folder of backups (default: beside the data folder, with -backups in its name).",
            show_default=False,
        ),
    ] = None,
    *,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Make none, and check the newest in TARGET, or the one that TARGET is.",
            show_default=False,
        ),
    ] = False,
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="Remove all but so many of the newest.", show_default=False),
    ] = None,
    without_keys: Annotated[
        bool,
        typer.Option(
            "--without-keys",
            help="Leave out the secrets of the local system: a restored one makes new ones.",
            show_default=False,
        ),
    ] = False,
    nats: NatsOption = None,
    seed: SeedOption = None,
    s3_endpoint: EndpointOption = None,
    s3_bucket: BucketOption = None,
    database_url: DatabaseOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy log, views, objects and keys into a folder, while the system runs or rests.

    Prints the folder of the new backup. Later backups into the same TARGET take only the objects
    that are new. A backup holds faces, voices and keys: keep it as safe as the system itself.
    """
    from myspinbot.backup.installation import Remote

    remote = Remote(nats, seed, s3_endpoint, s3_bucket, database_url)
    local = home_of(home)
    folder = _target(target, local, remote)
    if verify:
        if keep is not None:
            raise CommandError("--verify removes nothing.", "Leave --keep out.", MISUSED)
        run(_verify(folder, as_json=as_json))
    else:
        run(_back_up(folder, local, remote, keep, with_keys=not without_keys, as_json=as_json))


@examples(
    "myspinbot restore /mnt/disk/spinbot",
    "myspinbot restore /mnt/disk/spinbot/20261122T031500Z --home ~/drill --check",
    "myspinbot restore /mnt/disk/spinbot --replace",
)
def restore(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A backup's folder, or the folder of backups for the newest.",
            show_default=False,
        ),
    ],
    *,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Move data that is there aside, into a folder that the command names.",
            show_default=False,
        ),
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Then check all events, that their objects are there, and every row of the views.",
            show_default=False,
        ),
    ] = False,
    nats: NatsOption = None,
    seed: SeedOption = None,
    s3_endpoint: EndpointOption = None,
    s3_bucket: BucketOption = None,
    database_url: DatabaseOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a system from a backup, in a data folder that is empty.

    The backup is checked first. A data folder is filled beside its place and changed at once at
    the end, so a restore that fails or is killed has changed nothing.
    """
    from myspinbot.backup.installation import Remote

    remote = Remote(nats, seed, s3_endpoint, s3_bucket, database_url)
    given = source.expanduser()
    run(_restore(given, home_of(home), remote, replace=replace, check=check, as_json=as_json))


async def _back_up(
    folder: Path,
    home: Home,
    remote: Remote,
    keep: int | None,
    *,
    with_keys: bool,
    as_json: bool,
) -> None:
    from myspinbot.backup.making import make
    from myspinbot.backup.shelf import Shelf

    shelf = Shelf(folder)
    async with _installation(home, remote) as installation:
        shelf.prepare()
        with shelf.hold():
            made = await make(installation, shelf, with_keys=with_keys)
            removed, freed = shelf.rotate(keep) if keep else ([], 0)
    if as_json:
        document({**_summary(made), "removed": [path.name for path in removed]})
        return
    plain(str(made.folder))
    _describe(made)
    if removed:
        hint(f"Removed {len(removed)} older backups, {size(freed)} of objects with them.")
    what = "faces, voices and keys" if made.manifest.keys else "faces and voices"
    hint(f"It holds {what}: keep it as safe as the system itself.")


async def _verify(folder: Path, *, as_json: bool) -> None:
    from myspinbot.backup.shelf import find, held_for_reading
    from myspinbot.backup.verifying import verify

    found = find(folder)
    with held_for_reading(found):
        await verify(found)
    if as_json:
        document(_summary(found))
    else:
        plain(f"{found.folder} is whole.")
        _describe(found)


async def _restore(
    source: Path, home: Home, remote: Remote, *, replace: bool, check: bool, as_json: bool
) -> None:
    from myspinbot.backup.restoring import into_home, into_installation
    from myspinbot.backup.shelf import find, held_for_reading

    found = find(source)
    installation = remote.installation(os.environ)
    if installation is not None and replace:
        raise CommandError(
            "--replace moves a local data folder aside; another installation has to be empty.",
            "Name an empty broker, bucket and database.",
            MISUSED,
        )
    with held_for_reading(found):
        if installation is None:
            restored = await into_home(found, home, replace=replace)
        else:
            restored = await into_installation(found, installation)
    right = await _checked(home, installation, restored) if check else []
    where = installation.name if installation else str(home.root)
    if as_json:
        moved_to = str(restored.moved_to) if restored.moved_to else None
        views = restored.with_views
        document({**_summary(found), "into": where, "movedTo": moved_to, "views": views})
        return
    plain(where)
    _tell_restored(found, restored)
    for line in right:
        hint(line)


async def _checked(home: Home, installation: Installation | None, restored: Restored) -> list[str]:
    from myspinbot.backup.checking import check, check_home
    from myspinbot.exchange.checking import Evidence

    if installation is None:
        return await check_home(home, with_views=restored.with_views)
    return await check(installation, Evidence(()), with_views=restored.with_views)


def _tell_restored(found: Backup, restored: Restored) -> None:
    _describe(found)
    if restored.moved_to:
        hint(f"The data that was there is in {restored.moved_to} now.")
    if not restored.with_views:
        hint("The views are filled from the log at the next start.")
    if found.manifest.keys is None:
        hint("The backup has no keys: new ones are made, and people have to sign in again.")
    hint("Jobs that had not ended go on from their last checkpoint at the next start.")


@contextlib.asynccontextmanager
async def _installation(home: Home, remote: Remote) -> AsyncIterator[Installation]:
    from myspinbot.backup.installation import of_home

    elsewhere = remote.installation(os.environ)
    if elsewhere is not None:
        yield elsewhere
        return
    async with of_home(home) as local:
        yield local


def _target(given: Path | None, home: Home, remote: Remote) -> Path:
    if given is None and remote.nats is not None:
        raise CommandError(
            "It is not said where the backup goes.", "Name a folder as TARGET.", MISUSED
        )
    folder = (given or home.root.with_name(f"{home.root.name}-backups")).expanduser().absolute()
    if folder.is_relative_to(home.root):
        raise CommandError(
            f"{folder} is inside the data folder, and would be lost with it.",
            "Name a folder elsewhere, best on another disk.",
            MISUSED,
        )
    return folder


def _describe(found: Backup) -> None:
    content = found.manifest
    parts = [
        f"{content.last_sequence} events",
        f"{content.objects.count} objects ({size(content.objects.size)})",
        f"views in {content.views.kind}" if content.views else "no views",
        "keys" if content.keys else "no keys",
    ]
    hint(f"{', '.join(parts)}, of {content.began.astimezone():%Y-%m-%d %H:%M}.")
    if content.objects.gone:
        hint(f"{content.objects.gone} objects were erased while it was made.")


def _summary(found: Backup) -> dict[str, object]:
    content = found.manifest
    return {
        "backup": str(found.folder),
        "version": content.version,
        "began": content.began.isoformat(),
        "finished": content.finished.isoformat(),
        "lastSequence": content.last_sequence,
        "objects": content.objects.count,
        "sizeBytes": content.size,
        "gone": content.objects.gone,
        "views": content.views.kind if content.views else None,
        "keys": content.keys is not None,
    }
