"""People who do not exist: how they are put together, seen and lit. An egg stands for them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from figure_support import EYES, ball, egghead, surface

HERE = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _pretrain_in_reach() -> Iterator[None]:
    sys.path.insert(0, str(HERE))
    yield
    sys.path.remove(str(HERE))


def test_the_nearest_of_what_lies_on_a_pixel_is_seen() -> None:
    from pretrain.people.splats import drawn

    places = np.array([[2.5, 2.5], [2.5, 2.5], [6.2, 6.9]], np.float32)
    depths = np.array([3, 1, 2], np.float32)
    colours = np.eye(3, dtype=np.float32)
    for order in ([0, 1, 2], [1, 0, 2]):
        picture = drawn(places[order], depths[order], colours[order], 8)
        assert picture[2, 2].tolist() == [0, 1, 0, 1]
        assert picture[3, 3].tolist() == [0, 1, 0, 1]  # each covers two by two
        assert picture[6, 6].tolist() == [0, 0, 1, 1]
        assert picture[0, 0, 3] == 0


def test_points_lie_on_their_surface_as_dense_everywhere() -> None:
    from pretrain.people.splats import SPACING, normals, scattered

    vertices, triangles = ball(np.zeros(3), np.ones(3), 40)
    cloud = scattered(surface(triangles), vertices, np.random.default_rng(0))
    points = cloud.at(vertices)
    assert np.linalg.norm(points, axis=1) == pytest.approx(1, abs=0.01)
    assert len(points) * SPACING**2 == pytest.approx(4 * np.pi, rel=0.1)
    assert abs(points.mean(axis=0)).max() < 0.02
    facing = normals(surface(triangles), vertices)
    middle = np.abs(vertices[:, 1]) < 0.9
    assert (facing[middle] * vertices[middle]).sum(axis=1).min() > 0.95


def test_what_stands_in_the_light_throws_a_shadow() -> None:
    from pretrain.people.light import Shadows

    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 80), np.linspace(-1, 1, 80)), -1).reshape(-1, 2)
    wall = np.concatenate([grid, np.zeros((len(grid), 1))], axis=1).astype(np.float32)
    board = (wall * np.float32([0.4, 0.4, 0]) + np.float32([0, 0, 0.5])).astype(np.float32)
    shadows = Shadows.of(np.concatenate([wall, board]), np.array([0, 0, 1], np.float32))
    covered = shadows.on(wall)
    inside = np.abs(wall[:, :2]).max(axis=1) < 0.3
    outside = np.abs(wall[:, :2]).max(axis=1) > 0.5
    assert covered[inside].min() == 1
    assert covered[outside].max() == 0
    assert shadows.on(board).max() == 0


def test_somebody_is_drawn_in_the_middle_and_lit_from_where_the_lamp_is() -> None:
    from pretrain.people.portrait import Studio
    from pretrain.people.traits import Light, somebody
    from pretrain.people.view import SIDE

    studio = Studio(egghead())
    who = somebody(studio.figure, np.random.default_rng(1))
    plain = replace(who, turn=(0, 0, 0), zoom=2.5, glasses=None, beard=0, hair=None)
    ways = {}
    for way in (-1, 1):
        lamp = np.array([0.8 * way, 0, 0.6], np.float32)
        light = Light(lamp, np.ones(3, np.float32), 0.3)
        picture = studio.picture(replace(plain, light=light), np.random.default_rng(2))
        ways[way] = picture
        assert picture.shape == (SIDE, SIDE, 4)
        assert picture[SIDE // 2, SIDE // 2, 3] == 1
        assert picture[2, 2, 3] == 0
    face = slice(SIDE // 2 - 5, SIDE // 2 + 15), slice(SIDE // 2 - 20, SIDE // 2 + 20)
    left, right = (ways[way][face][..., :3].mean(axis=2) for way in (-1, 1))
    assert left[:, :15].mean() > left[:, -15:].mean() + 0.1
    assert right[:, -15:].mean() > right[:, :15].mean() + 0.1


def test_glasses_are_before_the_eyes() -> None:
    from pretrain.people.portrait import Studio
    from pretrain.people.traits import Glasses, somebody
    from pretrain.people.view import View

    studio = Studio(egghead())
    who = somebody(studio.figure, np.random.default_rng(1))
    bare = replace(who, hair=None, glasses=None)
    worn = replace(bare, glasses=Glasses((0.4, 0.3), 0.05, (0, 0, 1)))
    without, with_them = (studio.picture(each, np.random.default_rng(2)) for each in (bare, worn))
    changed = np.argwhere(np.abs(with_them - without).max(axis=2) > 0.2)
    view = View.of(studio.figure.eyes.on(studio.figure.vertices), bare)
    left, right = view.places(view.turned(EYES))
    assert changed[:, 1].min() < left[0] < right[0] < changed[:, 1].max()
    assert abs(changed[:, 0].mean() - left[1]) < 0.5 * (right[0] - left[0])


def test_the_words_are_those_of_the_person() -> None:
    from pretrain.people.traits import somebody

    figure = egghead()
    for number in range(40):
        who = somebody(figure, np.random.default_rng(number))
        assert ("beard" in who.phrases) == (who.beard > 0)
        assert ("glasses" in who.phrases) == (who.glasses is not None)
        assert ("bald" in who.phrases) == (who.hair is None)
        man = any(phrase.endswith(" man") or phrase == "man" for phrase in who.phrases)
        assert who.clothes.name.startswith("male" if man else "female")
        heritages = [amount for name, amount in who.amounts.items() if name.count("-") == 2]
        kinds = [name for name in who.amounts if name.startswith("macrodetails/universal")]
        assert sum(heritages[:6]) == pytest.approx(1)
        assert sum(who.amounts[name] for name in kinds) == pytest.approx(1)


def test_the_figure_is_read_from_its_package(tmp_path: Path) -> None:
    from pretrain.people.figure import Worn, load

    data = tmp_path / "data"
    high = [0, 6, 0, 1, 6, 0, 1, 7, 0, 0, 7, 0]
    # A square and a triangle of the body, and a triangle that only helps to dress it.
    body = [3 | 8, 0, 1, 2, 3, 0, 0, 1, 2, 3, 2 | 8, 0, 1, 2, 0, 0, 1, 2]
    model = {
        "vertices": high,
        "uvs": [[0, 0, 1, 0, 1, 1, 0, 1]],
        "faces": [*body, 2 | 8, 0, 1, 3, 1, 0, 1, 3],
        "materials": [{"DbgName": "body"}, {"DbgName": "helper-hair"}],
    }
    _write(data / "models/human_full_size.json", model)
    names = ["data/targets/nose/nose-a.target", "data/targets/hip/hip-a.target"]
    _write(tmp_path / "target-list.json", {"targets": dict.fromkeys(names)})
    numbers = np.zeros((2, 4, 3), np.int16)
    numbers[1, 2] = 500  # in the order of their names
    (data / "targets").mkdir()
    (data / "targets/targets.bin").write_bytes(numbers.tobytes())
    for author in ("Manuel Bastioni", "Somebody Else"):
        folder = data / f"proxies/hair/{author.split()[0]}"
        proxy = {
            **model,
            "faces": [8, 0, 1, 2, 0, 1, 2],
            "ref_vIdxs": [[0, 0, 0]] * 4,
            "weights": [[1, 0, 0]] * 4,
            "offsets": [[0, 0, 0.5]] * 4,
            "metadata": {"license": {"author": author}},
        }
        _write(folder / f"{author.split()[0]}.json", proxy)
        (folder / "textures").mkdir()
        _picture(folder / "textures/a_diffuse.png")
    figure = load(tmp_path)
    assert len(figure.skin.triangles) == 3
    assert list(figure.targets) == ["nose/nose-a"]
    assert figure.shaped({"nose/nose-a": 1})[2].tolist() == [1.5, 7.5, 0.5]
    (hair,) = figure.worn["hair"]
    assert isinstance(hair, Worn)
    assert hair.name == "Manuel"
    assert hair.on(figure.vertices)[1].tolist() == [0, 6, 0.5]


def test_another_package_than_is_known_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pretrain.people.figure import pull
    from pretrain.plan import PlanError

    npm = tmp_path / "bin/npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\necho x > made.tgz\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")
    with pytest.raises(PlanError, match="not the package that is known"):
        pull(tmp_path / "figure")
    assert not (tmp_path / "figure").exists()
    npm.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(PlanError, match="npm pack"):
        pull(tmp_path / "figure")


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _picture(path: Path) -> None:
    from PIL import Image

    Image.new("RGBA", (4, 4), (10, 20, 30, 255)).save(path)
