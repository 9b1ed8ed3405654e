"""Whose photos these are: faces grouped into people, and the one person they are of.

A LoRA learns whoever is in its pictures, so two people in them give a blend of both. Faces are
joined by average linkage as long as groups are nearer than dlib's threshold. Measured on five men,
eleven photographs each (dlib's own examples): the same man at most 0.56, median 0.33; two men at
least 0.67, median 0.90. On drawings distances are smaller, so two drawn people may pass for one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from gpu_runner.faces.identity import SAME_PERSON
from gpu_runner.stage import StageError

NEVER_ONE = 100.0
"""The distance of two faces in one photo, whatever they look like: larger than any real one."""
TAKE_AS_ONE = (
    "If all photos do show one person, say so with the parameter same_person of prepare_dataset."
)


@dataclass(frozen=True, slots=True)
class MainPerson:
    """The person the photos are of, and where else is seen.

    `faces` are indices of this person's faces, one for each photo that shows them; `absent` maps
    each photo that shows only others to the photos in which the same other person is seen.
    """

    faces: tuple[int, ...]
    absent: Mapping[int, tuple[int, ...]]


def main_person(
    photos: Sequence[int], embeddings: Sequence[NDArray[np.float64]], *, same_person: bool = False
) -> MainPerson:
    """Find the person whom more than half of the photos show, and more than anybody else.

    Args:
        photos: the number of the photo that each face is in.
        embeddings: of each face, (128,).
        same_person: whether faces that are alone in their photo are one person without asking.

    Raises:
        StageError: `two-people`, or `several-faces` where a single photo leaves it open.

    """
    people = group_people(photos, embeddings)
    if same_person:
        people = _one_of_the_lone(photos, people)
    shown = {person: _photos_of(person, photos, people) for person in dict.fromkeys(people)}
    ranked = sorted(shown, key=lambda person: -len(shown[person]))
    first = shown[ranked[0]]
    total = len(set(photos))
    tied = len(ranked) > 1 and len(shown[ranked[1]]) == len(first)
    if tied or 2 * len(first) <= total:
        raise _undecided(photos, [shown[person] for person in ranked])
    faces = tuple(index for index, person in enumerate(people) if person == ranked[0])
    absent: dict[int, tuple[int, ...]] = {}
    for person in ranked[1:]:
        for photo in shown[person]:
            if photo not in first:
                absent.setdefault(photo, shown[person])
    return MainPerson(faces, absent)


def group_people(photos: Sequence[int], embeddings: Sequence[NDArray[np.float64]]) -> list[int]:
    """A number for each face: faces with the same number show the same person."""
    if len(embeddings) == 1:
        return [1]
    distances = pdist(np.stack(embeddings))
    distances[pdist(np.array(photos, dtype=float)[:, None]) == 0] = NEVER_ONE
    tree = linkage(distances, method="average")
    return [int(label) for label in fcluster(tree, SAME_PERSON, criterion="distance")]


def listed(photos: Sequence[int]) -> str:
    """Photo numbers as words: "photo 2", or "photos 1, 3 and 4"."""
    if len(photos) == 1:
        return f"photo {photos[0]}"
    *most, last = photos
    return f"photos {', '.join(map(str, most))} and {last}"


def _one_of_the_lone(photos: Sequence[int], people: Sequence[int]) -> list[int]:
    lone = [
        person
        for photo, person in zip(photos, people, strict=True)
        if list(photos).count(photo) == 1
    ]
    return [lone[0] if person in lone else person for person in people]


def _photos_of(person: int, photos: Sequence[int], people: Sequence[int]) -> tuple[int, ...]:
    return tuple(
        sorted({photo for photo, other in zip(photos, people, strict=True) if other == person})
    )


def _undecided(photos: Sequence[int], shown: Sequence[tuple[int, ...]]) -> StageError:
    if len(set(photos)) == 1:
        return StageError(
            "several-faces",
            f"photo {photos[0]} shows {len(photos)} faces",
            "Crop the photo to one person, or leave it out.",
        )
    verb = ["show" if len(each) > 1 else "shows" for each in shown]
    told = [f"{listed(each)} {say} one person" for each, say in zip(shown, verb, strict=True)]
    told[1:] = [text.replace("one person", "another") for text in told[1:]]
    return StageError(
        "two-people",
        f"the photos show {len(shown)} people, and none of them is in most: {'; '.join(told)}",
        f"Leave out the photos of everybody but one, or crop them. {TAKE_AS_ONE}",
    )
