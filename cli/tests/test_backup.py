"""Backup and restore of a home by the command, tried by destroying everything."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from backup_support import (
    Contents,
    blobs,
    contents,
    damaged_parts,
    filled,
    keys,
    project,
    rows,
    started,
    told,
    until,
    within,
)
from command_support import Command, Done
from eventlog.broker import connect
from myspinbot.backup import manifest
from myspinbot.backup.installation import Installation
from myspinbot.backup.making import check_room
from myspinbot.embedded.home import Home
from myspinbot.errors import FAILED, HELD, MISUSED, NOT_FOUND, REFUSED, CommandError
from servicekit.objects import open_store

from contracts import subjects

pytestmark = pytest.mark.long


@dataclass(slots=True)
class Kept:
    """A home that was filled and backed up at rest, and what was in it then."""

    home: Home
    shelf: Path
    backup: Path
    contents: Contents
    rows: dict[str, list[object]]


def ran(*words: str) -> Done:
    """The command as a process of its own, to its end."""
    process = started(*words)
    out, err = process.communicate(timeout=120)
    return Done(process.returncode, out.strip(), err)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("kept")
    home, shelf = Home(folder / "home"), folder / "shelf"

    async def fill(installation: Installation) -> Contents:
        await filled(installation)
        await asyncio.to_thread(project, installation, folder)
        return await contents(installation)

    found = within(home, fill)
    made = ran("backup", str(shelf), "--home", str(home.root))
    assert made.status == 0, made.err
    return Kept(home, shelf, Path(made.out), found, rows(home))


@pytest.fixture
def copied(kept: Kept, tmp_path: Path) -> Kept:
    """A copy of the shelf, to be damaged."""
    shelf = tmp_path / "shelf"
    shutil.copytree(kept.shelf, shelf)
    return Kept(kept.home, shelf, shelf / kept.backup.name, kept.contents, kept.rows)


def test_everything_is_as_it_was_after_the_home_was_destroyed(
    kept: Kept, command: Command, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    done = command("restore", str(kept.shelf), "--home", str(home.root))
    assert done.status == 0, done.err
    assert done.out.strip() == str(home.root)
    assert rows(home) == kept.rows
    assert sum(map(len, kept.rows.values())) > 20
    assert keys(home) == keys(kept.home)
    assert not (home.root / ".new").exists()

    async def look(installation: Installation) -> Contents:
        found = await contents(installation)
        await asyncio.to_thread(project, installation, tmp_path)
        broker = await connect(installation.broker)
        last = found.streams[subjects.DELIVERIES][-1]
        again = await broker.publish(last["subject"], b"{}", {"Nats-Msg-Id": "one"})
        await broker.close()
        assert again.get("duplicate"), "what was sent once would be sent twice"
        return found

    found = within(home, look)
    assert found == kept.contents
    assert all(found.streams[name] for name in found.streams if name != subjects.DEAD_LETTERS)
    assert rows(home) == kept.rows
    for path in (home.data, *home.keys.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_backup_is_for_its_owner_only(kept: Kept) -> None:
    assert kept.shelf.stat().st_mode & 0o077 == 0
    for path in kept.backup.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_backup_while_events_come_is_one_of_a_single_moment(tmp_path: Path) -> None:
    home, shelf, restored = Home(tmp_path / "a"), tmp_path / "shelf", Home(tmp_path / "b")

    async def busy(installation: Installation) -> Contents:
        await filled(installation, jobs=2)
        await asyncio.to_thread(project, installation, tmp_path)
        broker = await connect(installation.broker)
        stop = asyncio.Event()

        async def work() -> None:
            async with open_store(installation.store) as store:
                number = 100
                while not stop.is_set():
                    await told(broker, store, f"job-{number}")
                    number += 1
                    # Each is read again and again afterwards: some dozens are enough.
                    await asyncio.sleep(0.05)

        working = asyncio.create_task(work())
        words = ("backup", str(shelf), "--home", str(home.root))
        made = await asyncio.to_thread(ran, *words)
        stop.set()
        await working
        await broker.close()
        assert made.status == 0, made.err
        return await contents(installation)

    before = within(home, busy)
    assert ran("restore", str(shelf), "--home", str(restored.root)).status == 0
    log = before.streams[subjects.JOBS]

    async def look(installation: Installation) -> Contents:
        await asyncio.to_thread(project, installation, tmp_path)
        return await contents(installation)

    after = within(restored, look)
    copied = after.streams[subjects.JOBS]
    assert 8 < len(copied) < len(log)
    assert copied == log[: len(copied)]
    named = set(re.findall(r"jobs/job-\d+/\w+", json.dumps([m["data"] for m in copied])))
    assert named <= after.objects.keys()
    for key, found in after.objects.items():
        assert found == before.objects[key]


def test_a_second_backup_takes_only_what_is_new(kept: Kept, tmp_path: Path) -> None:
    shelf, home = tmp_path / "shelf", tmp_path / "home"
    shutil.copytree(kept.home.data, home / "data")

    async def thrice(installation: Installation) -> None:
        async def made(*words: str) -> Done:
            done = await asyncio.to_thread(ran, "backup", str(shelf), "--home", str(home), *words)
            assert done.status == 0, done.err
            return done

        first = await made()
        before = blobs(shelf)
        async with open_store(installation.store) as store:
            await store.put("new", b"new", "text/plain")
            await store.delete("large")
        second = await made()
        assert "1 new of" in second.err
        after = blobs(shelf)
        assert len(after) == len(before) + 1
        assert {name: after[name] for name in before} == before
        for each in (first, second):
            checked = await asyncio.to_thread(ran, "backup", "--verify", each.out)
            assert checked.status == 0, checked.err
        told_of = json.loads((await made("--keep", "1", "--json")).out)
        assert told_of["removed"] == [Path(first.out).name, Path(second.out).name]
        assert len(blobs(shelf)) == len(after) - 1, "the erased object stays in no backup"

    within(Home(home), thrice)
    assert ran("backup", "--verify", str(shelf)).status == 0


@pytest.mark.parametrize("part", range(5))
@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
def test_a_damaged_part_is_named_and_nothing_is_restored(
    copied: Kept, command: Command, tmp_path: Path, part: int, how: str
) -> None:
    path = list(damaged_parts(copied.backup))[part]
    if how == "flipped":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif how == "cut":
        os.truncate(path, path.stat().st_size - 7)
    else:
        path.unlink()
    home = tmp_path / "home"
    refused = command("restore", str(copied.shelf), "--home", str(home))
    assert refused.status == FAILED
    assert str(path) in refused.err
    assert [each for each in (home / "data").rglob("*") if each.is_file()] == []
    checked = command("backup", "--verify", str(copied.backup))
    assert (checked.status, checked.out) == (FAILED, "")
    assert str(path) in checked.err


def test_a_manifest_that_was_edited_is_refused(
    copied: Kept, command: Command, tmp_path: Path
) -> None:
    path = copied.backup / "manifest.json"
    path.write_text(path.read_text().replace('"version": "', '"version": "9'))
    refused = command("restore", str(copied.backup), "--home", str(tmp_path / "home"))
    assert refused.status == FAILED
    assert str(path) in refused.err


def test_a_backup_of_a_newer_version_is_refused(
    copied: Kept, command: Command, tmp_path: Path
) -> None:
    path = copied.backup / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "format": 2, "version": "9.9", "more": True}))
    sums = copied.backup / "SHA256SUMS"
    lines = sums.read_text().splitlines()
    sums.write_text("\n".join([f"{manifest.hash_of(path)}  manifest.json", *lines[1:]]) + "\n")
    refused = command("restore", str(copied.backup), "--home", str(tmp_path / "home"))
    assert refused.status == MISUSED
    assert "newer version, 9.9" in refused.err


def test_what_is_no_backup_is_refused(kept: Kept, command: Command, tmp_path: Path) -> None:
    home = ("--home", str(tmp_path / "home"))
    assert command("restore", str(tmp_path / "none"), *home).status == NOT_FOUND
    (tmp_path / "other").mkdir()
    assert command("restore", str(tmp_path / "other"), *home).status == MISUSED
    (tmp_path / "other" / "file").write_text("mine")
    refused = command("backup", str(tmp_path / "other"), "--home", str(kept.home.root))
    assert refused.status == MISUSED
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["file"]
    inside = command("backup", str(kept.home.root / "b"), "--home", str(kept.home.root))
    assert inside.status == MISUSED
    assert command("backup", str(tmp_path / "shelf"), *home).status == NOT_FOUND
    assert not (tmp_path / "shelf").exists()


def test_data_that_is_there_is_refused_or_moved_aside(
    kept: Kept, command: Command, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    (home.data / "precious").write_text("mine")
    words = ("restore", str(kept.shelf), "--home", str(home.root))
    refused = command(*words)
    assert refused.status == REFUSED
    assert (home.data / "precious").read_text() == "mine"
    with home.hold():
        assert command(*words, "--replace").status == HELD
    done = command(*words, "--replace", "--json")
    assert done.status == 0, done.err
    assert (Path(json.loads(done.out)["movedTo"]) / "precious").read_text() == "mine"
    assert rows(home) == kept.rows


def test_without_keys_a_restored_home_makes_new_ones(
    kept: Kept, command: Command, tmp_path: Path
) -> None:
    shelf, home = tmp_path / "shelf", Home(tmp_path / "home")
    words = ("backup", str(shelf), "--home", str(kept.home.root), "--without-keys")
    assert command(*words).status == 0
    secrets = {content for content in keys(kept.home).values() if content}
    for path in shelf.rglob("*"):
        assert not path.is_file() or not any(each in path.read_bytes() for each in secrets), path
    done = command("restore", str(shelf), "--home", str(home.root))
    assert done.status == 0, done.err
    assert "new ones are made" in done.err
    assert rows(home) == kept.rows
    assert set(keys(home).values()).isdisjoint(secrets)


def test_a_restored_log_is_checked_with_its_objects_and_views(
    kept: Kept, command: Command, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    done = command("restore", str(kept.shelf), "--home", str(home), "--check")
    assert done.status == 0, done.err
    events = len(kept.contents.streams[subjects.JOBS])
    assert f"{events} events, each as it was told" in done.err
    assert "rows, each as the log says" in done.err


def test_a_backup_of_what_was_wrong_is_restored_and_the_check_says_so(
    kept: Kept, tmp_path: Path
) -> None:
    home, shelf, restored = tmp_path / "home", tmp_path / "shelf", tmp_path / "restored"
    shutil.copytree(kept.home.data, home / "data")
    with closing(sqlite3.connect(home / "data" / "views.db")) as views:
        [(table,)] = views.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'jobs%'"
        ).fetchmany(1)
        assert views.execute(f'UPDATE "{table}" SET status = "failed"').rowcount  # noqa: S608
        views.commit()

    async def lose_an_object(installation: Installation) -> None:
        made = await asyncio.to_thread(ran, "backup", str(shelf), "--home", str(home))
        assert made.status == 0, made.err
        async with open_store(installation.store) as store:
            await store.delete("jobs/job-0/faces")
        made = await asyncio.to_thread(ran, "backup", f"{shelf}-2", "--home", str(home))
        assert made.status == 0, made.err

    within(Home(home), lose_an_object)
    done = ran("restore", str(shelf), "--home", str(restored), "--check")
    assert done.status == FAILED
    assert "views are not what the log says" in done.err
    done = ran("restore", f"{shelf}-2", "--home", f"{restored}-2", "--check")
    assert done.status == FAILED
    assert "its log has 1 fault; the first" in done.err
    assert "jobs/job-0/faces" in done.err


def test_a_backup_that_was_killed_is_none_and_the_next_one_uses_what_it_copied(
    kept: Kept, command: Command, tmp_path: Path
) -> None:
    shelf = tmp_path / "shelf"
    words = ("backup", str(shelf), "--home", str(kept.home.root))
    process = started(*words)
    until(lambda: len(blobs(shelf)) > 2, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    refused = command("restore", str(shelf), "--home", str(tmp_path / "home"))
    assert refused.status == NOT_FOUND
    [unfinished] = [path for path in shelf.glob(".2*") if path.is_dir()]
    refused = command("restore", str(unfinished), "--home", str(tmp_path / "home"))
    assert refused.status == MISUSED
    assert "no finished backup" in refused.err
    noted = len((unfinished / "objects.jsonl").read_text().splitlines())
    before = blobs(shelf)
    done = command(*words)
    assert done.status == 0, done.err
    assert not unfinished.exists()
    total = len(kept.contents.objects)
    assert int(re.findall(r"(\d+) new of", done.err)[0]) <= total - noted
    assert before.keys() <= blobs(shelf).keys()
    assert command("backup", "--verify", str(shelf)).status == 0


def test_a_restore_that_was_killed_changes_nothing_and_can_be_started_again(
    kept: Kept, command: Command, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    words = ("restore", str(kept.shelf), "--home", str(home.root))
    process = started(*words)
    streams = home.root / ".new" / "data" / "jetstream"
    # The broker moves folders about meanwhile, so no others are looked into.
    until(lambda: any(streams.glob("jetstream/*/streams/JOBS")), process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [each for each in home.data.rglob("*") if each.is_file()] == []
    done = command(*words)
    assert done.status == 0, done.err
    assert within(home, contents) == kept.contents


def test_two_at_once_do_not_get_into_each_others_way(
    kept: Kept, command: Command, tmp_path: Path
) -> None:
    shelf = tmp_path / "shelf"
    process = started("backup", str(shelf), "--home", str(kept.home.root))
    until(lambda: any(shelf.glob(".2*")), process)
    second = command("backup", str(shelf), "--home", str(kept.home.root))
    assert second.status == HELD
    _, err = process.communicate()
    assert process.returncode == 0, err


def test_too_little_room_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no room for the backup: it takes 1000000"):
        check_room(tmp_path, 10**18, "the backup")
    check_room(tmp_path, 1, "the backup")
