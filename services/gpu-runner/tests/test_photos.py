"""A user's photos as a dataset: who is in them, which repeat others, what is told of them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from contracts.stagelog import Level
from gpu_runner.engines.local import prepare_dataset
from gpu_runner.faces.captions import captions_of, phrases_for, write_captions
from gpu_runner.faces.crop_files import write_crop
from gpu_runner.faces.duplicates import SAME_PICTURE, find_repeats, fingerprint, resemblance
from gpu_runner.faces.identity import SAME_PERSON, distance, embed
from gpu_runner.faces.people import group_people, main_person
from gpu_runner.faces.photos import SOFT, Preparation, prepare_photos
from gpu_runner.faces.scenes import Scene
from gpu_runner.media.pictures import decode_picture, write_picture
from gpu_runner.stage import StageError
from mini_support import Memory, make_context
from numpy.typing import NDArray
from PIL import Image
from skimage import data

Rgb = NDArray[np.uint8]
SAMPLES = sorted((Path(__file__).parents[3] / "samples" / "photos").iterdir())


@pytest.fixture(scope="module")
def woman() -> Rgb:
    return np.asarray(data.astronaut())


def turned(rgb: Rgb, degrees: float) -> Rgb:
    """The same person in another picture: the head tilted, the light from elsewhere."""
    turn = cv2.getRotationMatrix2D((226, 120), degrees, 1.0)
    other = cv2.warpAffine(rgb, turn, rgb.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
    light = np.linspace(0.5, 1.0, rgb.shape[1])[None, :, None]
    return (other * light).astype(np.uint8)


def beside(*pictures: Rgb) -> Rgb:
    """Pictures in a row, scaled to one height."""
    scaled = [cv2.resize(each, (512, 512), interpolation=cv2.INTER_AREA) for each in pictures]
    return np.concatenate(scaled, axis=1).astype(np.uint8)


def prepare(folder: Path, *photos: Rgb | Path, same_person: bool = False) -> Preparation:
    paths = [
        each if isinstance(each, Path) else write_picture(folder / f"in-{number}.png", each)
        for number, each in enumerate(photos)
    ]
    out = folder / "out"
    out.mkdir()
    return prepare_photos(paths, out, same_person=same_person)


def found(preparation: Preparation) -> list[tuple[int, str, bool]]:
    return [(each.photo, each.code, each.left_out) for each in preparation.findings]


def test_photos_come_out_best_first_and_a_blurred_one_is_told(woman: Rgb, tmp_path: Path) -> None:
    soft = np.asarray(cv2.GaussianBlur(turned(woman, 12), (0, 0), 4))
    prepared = prepare(tmp_path, soft, woman)
    assert [photo.number for photo in prepared.photos] == [2, 1]
    assert prepared.photos[1].quality.sharpness < SOFT < prepared.photos[0].quality.sharpness
    assert found(prepared) == [(1, "blurred", False)]
    assert all(photo.path.exists() for photo in prepared.photos)
    assert not any(isinstance(value, str) for value in prepared.photos[0].metrics().values())


def test_the_poorer_of_two_near_duplicates_is_left_out_with_a_word(
    woman: Rgb, tmp_path: Path
) -> None:
    smaller = np.asarray(cv2.resize(woman, (400, 400), interpolation=cv2.INTER_AREA))
    prepared = prepare(tmp_path, smaller[:, ::-1], woman, turned(woman, 12))
    assert sorted(photo.number for photo in prepared.photos) == [2, 3]
    assert found(prepared) == [(1, "near-duplicate", True)]
    assert "photo 2" in prepared.findings[0].message


def test_drawings_that_differ_by_an_expression_are_not_duplicates(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, *SAMPLES)
    assert sorted(photo.number for photo in prepared.photos) == list(range(1, len(SAMPLES) + 1))
    assert prepared.findings == []
    assert min(photo.quality.score for photo in prepared.photos) > 0.8
    crops = [decode_picture(photo.path) for photo in prepared.photos]
    first, *others = [embed(crop) for crop in crops]
    assert first is not None
    assert all(other is not None and distance(first, other) < SAME_PERSON for other in others)


def test_a_picture_resembles_its_copies_and_no_other(woman: Rgb) -> None:
    first = fingerprint(woman)
    darker = fingerprint((woman * 0.6).astype(np.uint8))
    assert resemblance(first, darker) > 0.99
    assert resemblance(first, fingerprint(np.ascontiguousarray(woman[:, ::-1]))) > 0.99
    assert resemblance(first, fingerprint(turned(woman, 12))) < SAME_PICTURE
    assert find_repeats([woman, turned(woman, 12), woman[:, ::-1]]) == {2: 0}


def test_a_photo_of_somebody_else_is_left_out_when_most_show_one_person(
    woman: Rgb, tmp_path: Path
) -> None:
    prepared = prepare(tmp_path, woman, SAMPLES[0], turned(woman, -12))
    assert sorted(photo.number for photo in prepared.photos) == [1, 3]
    assert found(prepared) == [(2, "someone-else", True)]


def test_two_people_equally_often_are_refused_and_told_apart(woman: Rgb, tmp_path: Path) -> None:
    with pytest.raises(StageError) as refusal:
        prepare(tmp_path, woman, SAMPLES[0], turned(woman, -12), SAMPLES[1])
    assert refusal.value.code == "two-people"
    assert "photos 1 and 3 show one person" in refusal.value.cause
    assert "photos 2 and 4 show another" in refusal.value.cause
    assert "same_person" in refusal.value.remedy


def test_unlike_faces_are_used_when_they_are_said_to_be_one_person(
    woman: Rgb, tmp_path: Path
) -> None:
    prepared = prepare(tmp_path, woman, SAMPLES[0], same_person=True)
    assert sorted(photo.number for photo in prepared.photos) == [1, 2]


def test_the_person_is_cut_out_of_a_photo_with_others(woman: Rgb, tmp_path: Path) -> None:
    drawn = np.asarray(decode_picture(SAMPLES[0]))
    prepared = prepare(tmp_path, beside(drawn, turned(woman, 12)), woman)
    assert sorted(photo.number for photo in prepared.photos) == [1, 2]
    here, there = [embed(decode_picture(photo.path)) for photo in prepared.photos]
    assert here is not None
    assert there is not None
    assert distance(here, there) < SAME_PERSON


def test_one_photo_of_two_people_is_refused(woman: Rgb, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="photo 1 shows 2 faces") as refusal:
        prepare(tmp_path, beside(woman, woman[:, ::-1]))
    assert refusal.value.code == "several-faces"


def test_faces_too_close_together_cannot_be_cut_apart(woman: Rgb, tmp_path: Path) -> None:
    close = np.concatenate([woman[:, 165:275], woman[:, 275:165:-1]], axis=1)
    prepared = prepare(tmp_path, close, woman)
    assert [photo.number for photo in prepared.photos] == [2]
    assert found(prepared) == [(1, "others-beside", True), (2, "only-one-photo", False)]


def test_one_photo_is_enough_and_said_to_be_few(woman: Rgb, tmp_path: Path) -> None:
    prepared = prepare(tmp_path, woman)
    assert found(prepared) == [(1, "only-one-photo", False)]


def test_a_photo_without_a_face_is_refused_by_its_number(woman: Rgb, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="photo 2 shows no face") as refusal:
        prepare(tmp_path, woman, np.asarray(data.coffee()))
    assert refusal.value.code == "no-face"


def test_one_answer_names_every_bad_photo(woman: Rgb, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(StageError, match=r"photo 1 shows 2 faces; photo 2 is not") as refusal:
        prepare(tmp_path, beside(woman, woman[:, ::-1]), broken)
    assert refusal.value.code == "several-faces"


def test_grey_and_animated_photos_are_used_and_told(woman: Rgb, tmp_path: Path) -> None:
    grey = np.repeat(cv2.cvtColor(woman, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    moving = tmp_path / "a.gif"
    other = turned(woman, 12)
    frames = [Image.fromarray(other), Image.fromarray(255 - other)]
    frames[0].save(moving, save_all=True, append_images=frames[1:])
    prepared = prepare(tmp_path, grey.astype(np.uint8), moving)
    assert found(prepared) == [(1, "no-colours", False), (2, "animated", False)]
    (of_grey,) = [photo.phrases for photo in prepared.photos if photo.number == 1]
    assert "black and white photo" in of_grey


def test_a_chain_of_likeness_does_not_join_two_people() -> None:
    apart = [np.eye(128)[0] * x for x in (0.0, 0.1, 0.5, 1.0, 1.1)]
    people = group_people([1, 2, 3, 4, 5], apart)
    assert people[0] == people[1] != people[3] == people[4]
    person = main_person([1, 2, 3, 4, 5], apart)
    assert person.absent == {4: (4, 5), 5: (4, 5)}


def test_two_faces_of_one_photo_are_never_one_person() -> None:
    same = [np.zeros(128), np.zeros(128), np.zeros(128)]
    people = group_people([1, 1, 2], same)
    assert people[0] != people[1]


@pytest.mark.parametrize(
    ("colour", "words"),
    [
        ((70, 120, 220), ("blue background",)),
        ((60, 150, 85), ("green background",)),
        ((10, 10, 10), ("black background", "dark light", "black and white photo")),
        ((250, 250, 250), ("white background", "bright light", "black and white photo")),
    ],
)
def test_a_plain_background_is_named_by_its_colour(
    colour: tuple[int, int, int], words: tuple[str, ...]
) -> None:
    assert phrases_for(np.full((64, 64, 3), colour, np.uint8)) == words


def test_a_background_of_two_colours_or_of_many_is_named_so() -> None:
    halves = np.full((64, 64, 3), (70, 120, 220), np.uint8)
    halves[:, 32:] = (60, 150, 85)
    (both, *_) = phrases_for(halves)
    assert set(both.split()) == {"blue", "green", "and", "background"}
    colours = np.random.default_rng(3).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    assert phrases_for(colours)[0] == "colourful background"


def test_the_stage_tells_the_owner_and_keeps_words_out_of_the_log(
    woman: Rgb, tmp_path: Path
) -> None:
    paths = [write_picture(tmp_path / f"{n}.png", each) for n, each in enumerate((woman, woman))]
    report = Memory()
    context = make_context(
        tmp_path / "run", prepare_dataset.Params(), {"photos": paths}, report=report
    )
    result = prepare_dataset.run(context)
    assert result.metrics["findings"] == {"near-duplicate": 1, "only-one-photo": 1}
    warned = [text for level, text in report.said_lines if level is Level.WARNING]
    assert any("photo 2 is nearly the same picture as photo 1" in text for text in warned)
    card = json.loads(result.outputs["report"][0].read_text())
    assert [each["photo"] for each in card["findings"]] == [1, 2]
    assert len(result.outputs["faces"]) == 1
    (prompt,) = captions_of(result.outputs, "portrait, sks")
    assert prompt.startswith("portrait, sks, ")
    assert "background" in prompt


def test_captions_go_with_the_crops_in_any_order(woman: Rgb, tmp_path: Path) -> None:
    paths = [
        write_crop(tmp_path / f"{words[0][:4]}.png", Scene.of_square(woman), words)
        for words in (["blue background", "bright light"], ["green background"])
    ]
    plain = write_picture(tmp_path / "plain.png", woman)
    assert captions_of({"faces": [paths[1], plain, paths[0]]}, "sks") == [
        "sks, green background",
        "sks",
        "sks, blue background, bright light",
    ]
    assert np.array_equal(decode_picture(paths[0]), woman)


def test_given_captions_go_before_those_of_the_crops_if_they_fit(
    woman: Rgb, tmp_path: Path
) -> None:
    faces = [write_crop(tmp_path / "a.png", Scene.of_square(woman), ["blue background"])]
    own = write_captions(tmp_path / "captions.json", [("on the beach",)])
    assert captions_of({"faces": faces, "captions": [own]}, "sks") == ["sks, on the beach"]
    assert captions_of({"faces": faces * 2, "captions": [own]}, "sks") == ["sks", "sks"]
    own.write_text('{"version": 1}')
    assert captions_of({"faces": faces, "captions": [own]}, "sks") == ["sks"]
