"""From a user's photos to crops of one person: the part of `prepare_dataset` that sees pictures.

All photos are looked at before anything is refused, so that one answer names them all. What is
left out of the crops, and what is doubtful in them, is told: nothing is dropped without a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_runner.faces.captions import is_grey, phrases_for
from gpu_runner.faces.crop_files import write_crop
from gpu_runner.faces.crops import (
    FACE_WIDTHS,
    LEAST_WIDTHS,
    PhotoQuality,
    judge,
    people_in,
    portrait_square,
)
from gpu_runner.faces.duplicates import find_repeats
from gpu_runner.faces.identity import embed_face
from gpu_runner.faces.mesh import Mesh
from gpu_runner.faces.people import TAKE_AS_ONE, listed, main_person
from gpu_runner.faces.scenes import Scene, scene_around
from gpu_runner.media.pictures import read_picture
from gpu_runner.stage import StageError

SOFT = 0.03
"""Below this sharpness a face is told to be blurred.

Measured on 69 photographs with faces 112 pixels wide and more: none is below. Blurred by a
Gaussian of 1.5 % of the face's width, 88 % are. The plain variance of the Laplacian did not
separate them: it was 9-512 before that blur and 2-5 after half of it on some, as it grows with
contrast. Noise that is coarser than the blur is taken for detail by both.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a photo that its owner should know. `left_out` says it is not used."""

    photo: int
    code: str
    message: str
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class PreparedPhoto:
    """A finished crop with its scene: `number` is the photo's place in the input, counted from 1.

    `phrases` are the words for all that is not the person.
    """

    number: int
    path: Path
    quality: PhotoQuality
    phrases: tuple[str, ...]

    def metrics(self) -> dict[str, float]:
        """The quality as plain JSON, without any path."""
        return {"number": self.number} | {
            name: round(value, 4) for name, value in asdict(self.quality).items()
        }


@dataclass(frozen=True, slots=True)
class Preparation:
    """The crops, the best first, and what is to be told of the photos."""

    photos: list[PreparedPhoto]
    findings: list[Finding]

    def counts(self) -> dict[str, int]:
        """How often each kind of finding was made."""
        return dict(sorted(Counter(finding.code for finding in self.findings).items()))


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A face that may be the person's; `scene` is None where others cannot be kept out of it."""

    photo: int
    embedding: NDArray[np.float64]
    quality: PhotoQuality
    scene: Scene | None


def prepare_photos(
    paths: Sequence[Path],
    out_dir: Path,
    on_photo: Callable[[int, int], None] | None = None,
    *,
    same_person: bool = False,
) -> Preparation:
    """Find the person in the photos and write their crops, the best first.

    Args:
        paths: the photos, in the user's order.
        out_dir: existing folder for `crop-01.png`, `crop-02.png` …, numbered by rank: scenes in
            which the face's square has 512 pixels a side (see `crop_files`).
        on_photo: called with (photos done, photos in all).
        same_person: take all faces that are alone in their photo for one person.

    Raises:
        StageError: `picture-unreadable`, `picture-too-large`, `no-face`, `face-too-small`,
            `several-faces` or `two-people`; the code is that of the first, the cause lists all.

    """
    candidates: list[_Candidate] = []
    findings: list[Finding] = []
    refused: list[StageError] = []
    for number, path in enumerate(paths, start=1):
        try:
            candidates += _look(path, number, findings)
        except StageError as error:
            refused.append(error)
        if on_photo:
            on_photo(number, len(paths))
    person = None
    try:
        if candidates:
            photos = [face.photo for face in candidates]
            embeddings = [face.embedding for face in candidates]
            person = main_person(photos, embeddings, same_person=same_person)
    except StageError as error:
        refused.insert(0, error)
    if refused or person is None:
        raise _all_in_one(refused)
    findings += _absent(person.absent)
    chosen = _alone([candidates[index] for index in person.faces], findings)
    crops = _without_repeats(chosen, findings)
    findings += [finding for face, _ in crops for finding in _doubts(face)]
    if len(crops) == 1:
        findings.append(_only_one(crops[0][0].photo))
    used = {face.photo for face, _ in crops}
    prepared = [
        _prepared(face, scene, out_dir / f"crop-{rank:02}.png")
        for rank, (face, scene) in enumerate(crops, start=1)
    ]
    # What was seen before a photo was left out is of no use to anybody any more.
    told = [finding for finding in findings if finding.left_out or finding.photo in used]
    return Preparation(prepared, sorted(told, key=lambda finding: finding.photo))


def _prepared(face: _Candidate, scene: Scene, path: Path) -> PreparedPhoto:
    phrases = phrases_for(scene.face)
    return PreparedPhoto(face.photo, write_crop(path, scene, phrases), face.quality, phrases)


def _look(path: Path, number: int, findings: list[Finding]) -> list[_Candidate]:
    picture = read_picture(path, f"photo {number}")
    meshes = people_in(picture.rgb, f"photo {number}")
    if picture.frames > 1:
        told = f"photo {number} has {picture.frames} frames or pages; the first is used"
        findings.append(Finding(number, "animated", told))
    return [_candidate(picture.rgb, mesh, meshes, number) for mesh in meshes]


def _candidate(
    rgb: NDArray[np.uint8], mesh: Mesh, everybody: Sequence[Mesh], number: int
) -> _Candidate:
    height, width = rgb.shape[:2]
    shape = (height, width)
    others = [other for other in everybody if other is not mesh]
    scene = None
    for widths in (FACE_WIDTHS, (FACE_WIDTHS + LEAST_WIDTHS) / 2, LEAST_WIDTHS):
        square = portrait_square(shape, mesh, widths)
        if not any(square.shows(other) for other in others):
            scene = scene_around(rgb, square, others)
            break
    return _Candidate(number, embed_face(rgb, mesh), judge(rgb, mesh), scene)


def _absent(absent: Mapping[int, tuple[int, ...]]) -> list[Finding]:
    found = []
    for photo, together in absent.items():
        others = [other for other in together if other != photo]
        too = f", as {listed(others)} {'do' if len(others) > 1 else 'does'}" if others else ""
        told = f"photo {photo} shows someone else than most photos{too}; it is left out"
        found.append(Finding(photo, "someone-else", f"{told}. {TAKE_AS_ONE}", left_out=True))
    return found


def _alone(faces: Sequence[_Candidate], findings: list[Finding]) -> list[tuple[_Candidate, Scene]]:
    """The faces that can be cut out without anybody else, the best first; never none."""
    kept = []
    for face in faces:
        if face.scene is not None:
            kept.append((face, face.scene))
        else:
            told = (
                f"in photo {face.photo} somebody is too near the person to be cut away;"
                " it is left out"
            )
            findings.append(Finding(face.photo, "others-beside", told, left_out=True))
    if not kept:
        raise StageError(
            "several-faces",
            f"{listed([face.photo for face in faces])} cannot be cut to one person, "
            "as somebody else is too near",
            "Add photos that show the person alone.",
        )
    return sorted(kept, key=lambda entry: (-entry[0].quality.score, entry[0].photo))


def _without_repeats(
    ranked: Sequence[tuple[_Candidate, Scene]], findings: list[Finding]
) -> list[tuple[_Candidate, Scene]]:
    repeats = find_repeats([scene.face for _, scene in ranked])
    for index, first in repeats.items():
        photo, better = ranked[index][0].photo, ranked[first][0].photo
        told = (
            f"photo {photo} is nearly the same picture as photo {better}, which is the better"
            " one; it is left out, so that the LoRA does not learn that picture by heart"
        )
        findings.append(Finding(photo, "near-duplicate", told, left_out=True))
    return [entry for index, entry in enumerate(ranked) if index not in repeats]


def _doubts(face: _Candidate) -> list[Finding]:
    found = []
    if face.quality.sharpness < SOFT:
        told = (
            f"the face in photo {face.photo} is blurred; it is used, but a sharper photo in its"
            " place would give a sharper likeness"
        )
        found.append(Finding(face.photo, "blurred", told))
    if face.scene is not None and is_grey(face.scene.face):
        told = (
            f"photo {face.photo} has no colours; it is used and captioned so, but colours of hair"
            " and skin are learned from the others only"
        )
        found.append(Finding(face.photo, "no-colours", told))
    return found


def _only_one(photo: int) -> Finding:
    return Finding(
        photo,
        "only-one-photo",
        f"only photo {photo} is left to learn from: the result will look much like that one"
        " picture; five to twenty different photos are better",
    )


def _all_in_one(errors: Sequence[StageError]) -> StageError:
    if len(errors) == 1:
        return errors[0]
    remedies = dict.fromkeys(error.remedy for error in errors)
    return StageError(
        errors[0].code, "; ".join(error.cause for error in errors), " ".join(remedies)
    )
