"""The mark that everybody sees, on real pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gpu_runner.engines.diffusion.portrait import PortraitConfig
from gpu_runner.engines.warp.params import Params
from gpu_runner.media.captions import Captions
from gpu_runner.media.mark import Mark, marked
from gpu_runner.media.pictures import decode_picture
from gpu_runner.speech.timeline import Span
from gpu_runner.stage import StageError
from PIL import Image
from pydantic import BaseModel, ValidationError

PHOTOS = sorted((Path(__file__).parents[3] / "samples" / "photos").iterdir())
WORDS = "AI generated"


def photo(path: Path, width: int, height: int) -> np.ndarray:
    picture = Image.fromarray(decode_picture(path)).resize((width, height))
    return np.asarray(picture)


def where(before: np.ndarray, after: np.ndarray) -> tuple[int, int, int, int]:
    """The left, top, right and bottom of what differs."""
    rows, columns = np.nonzero((before != after).any(axis=2))
    return columns.min(), rows.min(), columns.max(), rows.max()


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
@pytest.mark.parametrize(("width", "height"), [(256, 256), (512, 512), (720, 1280), (1920, 1080)])
def test_a_mark_is_small_in_the_upper_right_corner_and_can_be_read(
    path: Path, width: int, height: int
) -> None:
    before = photo(path, width, height)
    after = marked(before, WORDS)
    left, top, right, bottom = where(before, after)
    assert left > width / 2
    assert 0 < width - right < 0.05 * min(width, height)
    assert 0 < top < bottom < 0.1 * height
    assert (right - left) * (bottom - top) < 0.03 * width * height
    box = after[top : bottom + 1, left : right + 1].mean(axis=2)
    # Light letters and their dark rim differ more than any two parts of most pictures.
    assert np.percentile(box, 98) - np.percentile(box, 5) > 120


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_mark_stands_out_from_black_and_from_white(grey: int) -> None:
    plain = np.full((512, 512, 3), grey, np.uint8)
    left, top, right, bottom = where(plain, marked(plain, WORDS))
    box = marked(plain, WORDS)[top:bottom, left:right].mean(axis=2)
    assert np.abs(np.diff(box, axis=1)).max() > 120
    assert right - left > 60


def test_no_mark_leaves_the_picture_as_it_is_and_a_mark_its_original() -> None:
    before = photo(PHOTOS[0], 320, 320)
    kept = before.copy()
    assert Mark("  ", 320, 320)(before) is before
    assert marked(before, WORDS) is not before
    assert np.array_equal(before, kept)


def test_subtitles_and_a_mark_do_not_meet() -> None:
    words = "A sentence that is so long that it fills two whole lines of the picture, to the edges"
    for width, height in ((256, 256), (720, 1280), (1280, 720)):
        plain = np.full((height, width, 3), 90, np.uint8)
        said = plain.copy()
        Captions([Span(words, 0.0, 5.0)], width, height).draw(said, 1.0)
        assert where(plain, marked(plain, "x" * 20))[3] < where(plain, said)[1]


def test_a_long_mark_is_made_smaller_until_it_fits_or_is_refused() -> None:
    plain = np.zeros((512, 512, 3), np.uint8)
    left, _, right, _ = where(plain, marked(plain, "W" * 40))
    assert 0 < left < right < 512
    with pytest.raises(StageError, match="too long"):
        Mark("W" * 40, 256, 256)


@pytest.mark.parametrize("text", ["生成された", "\U0001f916"])
def test_what_cannot_be_drawn_is_told(text: str) -> None:
    with pytest.raises(StageError) as refused:
        Mark(text, 512, 512)
    assert refused.value.code == "mark-undrawable"


@pytest.mark.parametrize("params", [Params, PortraitConfig])
def test_a_mark_is_off_unless_it_is_asked_for_and_short(params: type[BaseModel]) -> None:
    assert params().model_dump()["mark"] == ""
    assert params(mark=WORDS).model_dump()["mark"] == WORDS
    for wrong in ("x" * 41, "two\nlines", "\x1b[31m"):
        with pytest.raises(ValidationError):
            params(mark=wrong)
