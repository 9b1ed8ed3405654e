"""How much a LoRA's pictures look like the person: `make bench-likeness`.

    python -m tests.load.likeness [--photos FOLDER] [--others FOLDER ...] [--quality best]

Some photos are held out. A LoRA of the mini base is trained on the others and draws from noise.
What it draws, what the base alone draws from the same noise, and pictures of other people are
each compared with the photos held out, by dlib's face embedding. All photos are first made as
small as what the base draws, since what is lost by that is no fault of the likeness: it alone takes
a photo about a third from itself, and the sample character more than half.

A folder holds photos of one person; without any, the sample character is trained, and the others
are strangers drawn in the same style. The grid that is written shows photos, the last ones held
out, what the base draws, and what the LoRA draws from the same noise.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from contracts.events import Quality
from gpu_runner.engines.diffusion import lora
from gpu_runner.engines.diffusion.components import Rgb, load_components
from gpu_runner.engines.diffusion.config import MINI_PRESETS
from gpu_runner.engines.diffusion.pictures import (
    contact_sheet,
    enlarge,
    read_square,
    shrink,
    write_png,
)
from gpu_runner.engines.diffusion.sampling import SamplingConfig, sample
from gpu_runner.engines.mini.base import BASE, prompt_for
from gpu_runner.engines.mini.train_lora import Params, run
from gpu_runner.faces.identity import distance, embed
from gpu_runner.faces.photos import prepare_photos
from gpu_runner.stage import StageContext
from numpy.typing import NDArray

from tests.load.lora_own import Notes
from tests.load.lora_told import Told
from tests.support.goals import Goals

ROOT = Path(__file__).parents[2]
STRANGERS = 4
LOOKS = 2
HELD_OUT = 2
DRAWN = 12
SHOWN = 6
SEED = 20
CLEARLY = 0.85
"""A distance this part of another, or less, is clearly below it."""
EMBEDDED_SIDE = 256
TILE = 128

Faces = list[NDArray[np.float64]]


def main() -> None:
    options = _arguments()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        crops = _crops(sorted(options.photos.iterdir()), work / "person")
        if len(crops) <= HELD_OUT:
            raise SystemExit(f"{len(crops)} photos are too few: {HELD_OUT} of them are held out")
        folders = options.others or [_stranger(number, work) for number in range(STRANGERS)]
        others = [_crops(sorted(each.iterdir()), work / f"crops-{each.name}") for each in folders]
        _judge(crops, others, options.quality, options.grid, work)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("likeness", description="How much a LoRA looks like a person.")
    parser.add_argument("--photos", type=Path, default=ROOT / "samples/photos")
    parser.add_argument("--others", type=Path, nargs="*", help="folders of other people's photos")
    parser.add_argument("--quality", type=Quality, choices=list(Quality), default=Quality.BEST)
    parser.add_argument("--grid", type=Path, default=ROOT / "build/likeness.png")
    return parser.parse_args()


def _crops(photos: Sequence[Path], folder: Path) -> list[Path]:
    """Crops of the one person in `photos`, in their order."""
    folder.mkdir()
    made = prepare_photos(photos, folder, same_person=True).photos
    return [photo.path for photo in sorted(made, key=lambda photo: photo.number)]


def _stranger(number: int, work: Path) -> Path:
    """A folder of pictures of somebody drawn, who wears what the sample character wears."""
    spec = importlib.util.spec_from_file_location("draw", ROOT / "samples/draw.py")
    assert spec
    assert spec.loader
    samples = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(samples)
    folder = work / f"stranger-{number}"
    folder.mkdir()
    for name, options in itertools.islice(samples.PHOTOS.items(), LOOKS):
        picture = samples.draw({**options, "seed": f"sample-stranger-{number}"})
        picture.save(folder / f"{name}.png")
    return folder


def _judge(
    crops: list[Path], others: list[list[Path]], quality: Quality, grid: Path, work: Path
) -> None:
    learned = crops[:-HELD_OUT]
    file = _train(learned, quality, work)
    components = load_components(BASE, "cpu")
    photos = _as_small(crops, components.side)
    drawing = SamplingConfig(seed=SEED)
    plain = sample(components, prompt_for("sks"), DRAWN, drawing)
    lora.load(components.unet, file, components.text_encoder)
    drawn = sample(components, prompt_for("sks"), DRAWN, drawing)
    grid.parent.mkdir(parents=True, exist_ok=True)
    whole = [read_square(path) for path in crops]
    write_png(grid, contact_sheet([whole[-SHOWN:], plain[:SHOWN], drawn[:SHOWN]], TILE))

    wanted, seen = _faces(photos[-HELD_OUT:]), _faces(drawn)
    strangers = [_faces(_as_small(album, components.side)) for album in others]
    own = _mean_distance(seen, wanted)
    of_base = _mean_distance(_faces(plain), wanted)
    of_others = _mean_distance(list(itertools.chain(*strangers)), wanted)
    of_photos = _mean_distance(_faces(photos[:-HELD_OUT]), wanted)
    known = [np.mean(album, axis=0) for album in [wanted, *strangers] if album]
    nearest = [int(np.argmin([distance(face, centre) for centre in known])) for face in seen]
    print(f"{len(learned)} photos learned, {HELD_OUT} held out; {grid} shows what was drawn")
    print(f"distance to the photos held out: other photos of the person {of_photos:.3f}, ")
    print(f"  drawn {own:.3f}, the base's own {of_base:.3f}, other people {of_others:.3f}")
    goals = Goals("likeness")
    goals.at_least("faces seen in what is drawn", len(seen) / DRAWN, 0.5, "")
    goals.at_most("drawn, of the base's own distance", own / of_base, CLEARLY, "x")
    goals.at_most("drawn, of other people's distance", own / of_others, CLEARLY, "x")
    goals.at_least(
        "of these, nearest to the person", nearest.count(0) / max(len(seen), 1), 0.75, ""
    )
    goals.print()


def _as_small(paths: Sequence[Path], side: int) -> list[Rgb]:
    """The faces' squares, no larger than what the base draws."""
    return [shrink(read_square(path), side) for path in paths]


def _train(crops: list[Path], quality: Quality, work: Path) -> Path:
    folders = [work / name for name in ("output", "scratch")]
    for folder in folders:
        folder.mkdir()
    output, scratch = folders
    report = Notes(Told(output))
    params = Params.model_validate(MINI_PRESETS[quality])
    result = run(StageContext(params, {"faces": crops}, output, scratch, "cpu", 1, report))
    print(f"{params.steps} steps, {result.metrics['steps_per_second']} a second")
    return result.outputs["lora"][0]


def _faces(pictures: Sequence[Rgb]) -> Faces:
    found = (embed(enlarge(picture, EMBEDDED_SIDE)) for picture in pictures)
    return [face for face in found if face is not None]


def _mean_distance(some: Faces, wanted: Faces) -> float:
    """Mean over all pairs; what shows no face at all is as far as can be from everybody."""
    pairs = [distance(one, other) for one in some for other in wanted]
    return float(np.mean(pairs)) if pairs else float("inf")


if __name__ == "__main__":
    main()
