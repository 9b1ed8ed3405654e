"""What is said of photos by number names their files, too."""

from __future__ import annotations

import pytest
from myspinbot.client.replies.jobs import InputLink
from myspinbot.photos import named


def link(name: str | None, index: int, given: str = "photos") -> InputLink:
    return InputLink(
        input=given, index=index, name=name, media_type="image/png", size=1, sha256="0", url="/"
    )


INPUTS = (link("clip.wav", 0, "clip"), link("a.jpg", 0), link("b 2.jpg", 1), link(None, 2))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("photo 1 shows no face", "photo 1 (a.jpg) shows no face"),
        ("photos 1, 2 and 3 show", "photos 1 (a.jpg), 2 (b 2.jpg) and 3 show"),
        (
            "the face in photo 2 is 15 pixels wide",
            "the face in photo 2 (b 2.jpg) is 15 pixels wide",
        ),
        ("photo 9 and 12 photos", "photo 9 and 12 photos"),
        ("step 1 of the telephoto 1", "step 1 of the telephoto 1"),
    ],
)
def test_each_number_of_a_photo_has_its_file(text: str, told: str) -> None:
    assert named(text, INPUTS) == told
