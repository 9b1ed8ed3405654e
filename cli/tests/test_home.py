"""The data folder and who holds it."""

import os
from pathlib import Path

import pytest
from myspinbot.embedded.home import Home, HomeHeldError, StackNote
from myspinbot.errors import HELD, CommandError


@pytest.mark.parametrize(
    ("environment", "root"),
    [
        ({"MYSPINBOT_HOME": "/srv/bot", "XDG_DATA_HOME": "/data"}, "/srv/bot"),
        ({"XDG_DATA_HOME": "/data"}, "/data/myspinbot"),
        ({}, str(Path("~/.local/share/myspinbot").expanduser())),
    ],
)
def test_the_folder_is_where_the_user_or_the_standard_says(
    environment: dict[str, str], root: str
) -> None:
    assert Home.default(environment).root == Path(root)


def test_a_second_holder_is_told_who_the_first_is(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with home.hold():
        home.write_note(StackNote("s", os.getpid(), "2026-01-01T10:00:00", ports={"http": 8787}))
        with pytest.raises(HomeHeldError) as caught, home.hold():
            pytest.fail("held twice")
    assert caught.value.exit_status == HELD
    for part in (str(os.getpid()), "2026-01-01T10:00:00", "http://127.0.0.1:8787"):
        assert part in caught.value.cause


def test_the_folder_is_free_again_after_its_holder(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for _ in range(2):
        with home.hold():
            pass
    assert home.running() is None


def test_others_see_the_stack_only_while_it_is_held(tmp_path: Path) -> None:
    home = Home(tmp_path)
    note = StackNote("s", os.getpid(), "now", ready=True, ports={"http": 1, "nats": 2})
    assert home.running() is None
    with home.hold():
        home.write_note(note)
        assert home.running() == note
    assert home.running() is None
    assert home.note() == note


def test_the_note_of_a_dead_stack_does_not_count_for_one_that_starts(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    home.write_note(StackNote("old", pid=0, since="then", ready=True, ports={"http": 1}))
    with home.hold():
        running = home.running()
    assert running is not None
    assert not running.ready


def test_only_the_owner_may_read_keys_and_data(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    home.write_note(StackNote())
    for folder in (home.data, home.keys, home.logs):
        assert folder.stat().st_mode & 0o077 == 0
    assert (home.root / "stack.json").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_made_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="--home"):
        Home(tmp_path / "file" / "home").prepare()
