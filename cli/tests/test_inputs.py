"""What a user may give to a job, and what is refused before anything starts."""

from pathlib import Path

import pytest
from myspinbot import samples
from myspinbot.errors import MISUSED, CommandError
from myspinbot.inputs import find_photos, read_script, readable


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "my photos"
    folder.mkdir()
    for name in ("b.JPG", "a.png", "notes.txt"):
        (folder / name).write_bytes(b"x")
    return folder


def test_a_folder_gives_its_pictures_in_order_and_nothing_else(photos: Path) -> None:
    assert find_photos([str(photos)]) == (photos / "a.png", photos / "b.JPG")


def test_several_files_may_stand_in_one_word_as_a_shell_quotes_them(photos: Path) -> None:
    both = f'"{photos / "a.png"}" "{photos / "b.JPG"}"'
    assert find_photos([both]) == (photos / "a.png", photos / "b.JPG")


def test_a_pattern_that_the_shell_left_alone_is_expanded(photos: Path) -> None:
    assert find_photos([f"'{photos}'/*.png"]) == (photos / "a.png",)


def test_a_photo_that_is_named_twice_is_taken_once(photos: Path) -> None:
    assert find_photos([str(photos), str(photos / "a.png")]) == find_photos([str(photos)])


def test_a_home_folder_may_be_written_as_a_tilde(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(photos))
    assert find_photos(["~/a.png"]) == (photos / "a.png",)


@pytest.mark.parametrize("given", ["nowhere.png", "'unclosed", "nothing-*.png"])
def test_a_photo_that_is_not_there_is_named(given: str) -> None:
    with pytest.raises(CommandError, match="is not there") as caught:
        find_photos([given])
    assert given in caught.value.cause
    assert caught.value.exit_status == MISUSED


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There are no photos in the folder"):
        find_photos([str(tmp_path)])


def test_a_script_is_text_or_the_text_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "script.txt"
    file.write_text(" Grüß dich! \n", encoding="utf-8")
    assert read_script('It costs $5, "you" said.') == 'It costs $5, "you" said.'
    assert read_script(f"@{file}") == "Grüß dich!"


def test_scripts_that_say_nothing_or_are_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="empty"):
        read_script(" \n")
    (tmp_path / "latin").write_bytes(b"\xfc")
    with pytest.raises(CommandError, match="UTF-8"):
        read_script(f"@{tmp_path / 'latin'}")


def test_a_folder_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="recording"):
        readable(tmp_path, "recording")


def test_the_sample_photos_and_words_are_shipped() -> None:
    assert len(find_photos([samples.photos()])) >= 5
    assert 20 <= len(samples.script().split()) <= 40
