"""The hostile inputs that a gateway cannot know: in the stages, and the programs that open them."""

from __future__ import annotations

import json
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_stack import Stack
from gpu_runner import protocol
from gpu_runner.engines.diffusion.sources import open_source
from gpu_runner.engines.local import prepare_dataset
from gpu_runner.engines.openai import write_script as openai
from gpu_runner.engines.template import write_script as template
from gpu_runner.media import decoder
from gpu_runner.media.music import read_music
from gpu_runner.process import StageProcess
from gpu_runner.stage import StageError
from gpu_runner.transfer import Transfer
from mini_support import make_context
from myspinbot.backup.keys import restore
from myspinbot.backup.manifest import DamagedBackupError
from servicekit.objects import ObjectStore, open_store
from servicekit.sandbox.helper import Helper
from writer_support import Model, serving

from tests.security import corpus
from tests.security.corpus.inputs import Failed, Hostile, Place, Refused
from tests.security.judging import MOST_BYTES, MOST_SECONDS, costing

KEY = "the-key-of-the-endpoint-0123456789"
LARGE = {"photo-png_that_unpacks_a_thousandfold"}
"""As large as photos may be: harmless, but not for less than one of that size takes."""


def of(*places: Place) -> list[Hostile]:
    """The inputs that get further than to the gateway's door."""
    every = (each for each in corpus.every() if each.place in places)
    return [each for each in every if not isinstance(each.expected, Refused)]


def at(*places: Place) -> pytest.MarkDecorator:
    """The same, each as a test; of files those that have any content."""
    chosen = [each for each in of(*places) if not each.name.endswith("-nothing")]
    return pytest.mark.parametrize("hostile", chosen, ids=[each.name for each in chosen])


def codes(hostile: Hostile) -> frozenset[str]:
    """What may be said of it."""
    assert isinstance(hostile.expected, Failed)
    return hostile.expected.codes


def task_of(folder: Path, inputs: dict[str, list[Path]]) -> protocol.Task:
    """A task for the stage that sees files first."""
    for name in ("output", "scratch"):
        (folder / name).mkdir()
    return protocol.Task(
        module=prepare_dataset.__name__,
        params_module=prepare_dataset.__name__,
        params_class="Params",
        params={},
        inputs=inputs,
        output=folder / "output",
        scratch=folder / "scratch",
        resume=None,
        device="cpu",
        seed=1,
    )


async def test_a_stage_has_no_keys_of_store_and_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("S3_ACCESS_KEY", "S3_SECRET_KEY", "NATS_SEED"):
        monkeypatch.setenv(f"MYSPINBOT_{name}", "planted")
    monkeypatch.setenv("MYSPINBOT_MODELS", "kept")
    process = await StageProcess.start(tmp_path, task_of(tmp_path, {}), 1)
    told = b""
    # Until the new program has taken the place of the copy that starts it.
    while b"HF_HUB_OFFLINE" not in told:
        told = Path(f"/proc/{process.pid}/environ").read_bytes()
    await process.kill()
    assert b"planted" not in told
    assert b"MYSPINBOT_MODELS=kept" in told


async def prepared(folder: Path, **inputs: list[bytes]) -> protocol.Failed:
    """How the real stage fails in its child process."""
    given: dict[str, list[Path]] = {}
    for name, contents in inputs.items():
        given[name] = [folder / f"{name}-{number}" for number in range(len(contents))]
        for path, content in zip(given[name], contents, strict=True):
            path.write_bytes(content)
    process = await StageProcess.start(folder, task_of(folder, given), 1)
    try:
        *_, ending = [message async for message in process.messages()]
    finally:
        await process.kill()
    assert isinstance(ending, protocol.Failed), ending
    assert ending.remedy
    assert not ending.retryable
    assert not {str(path) for paths in given.values() for path in paths} & {*ending.cause.split()}
    assert not [*(folder / "output").iterdir()]
    return ending


async def test_a_stage_refuses_every_photo_and_says_which(tmp_path: Path) -> None:
    photos = [each for each in of(Place.PHOTO) if isinstance(each.expected, Failed)]
    ending = await prepared(tmp_path, photos=[each.make() for each in photos])
    told = ending.cause.split("; ")
    for number, (photo, said) in enumerate(zip(photos, told, strict=True), start=1):
        words = {"no-face": "shows no face", "picture-unreadable": "is not a complete picture"}
        assert said.startswith(f"photo {number} "), said
        assert any(words[code] in said for code in codes(photo)), (photo.name, said)


@at(Place.CLIP)
async def test_a_stage_refuses_a_clip_and_says_what_to_do(hostile: Hostile, tmp_path: Path) -> None:
    ending = await prepared(tmp_path, clip=[hostile.make()])
    assert ending.code in codes(hostile), ending


@pytest.fixture(scope="module")
def helper() -> Iterator[Helper]:
    """A decoder that one input after the other is given to."""
    opened = Helper(decoder.__name__, decoder.LIMITS)
    yield opened
    opened.close()


@at(Place.PHOTO, Place.CLIP, Place.MUSIC)
def test_decoding_it_takes_little_and_never_more_than_it_may(
    hostile: Hostile, helper: Helper
) -> None:
    picture = {"kind": "picture", "label": "it"}
    wish = picture if hostile.place is Place.PHOTO else {"kind": "sound", "seconds": 600.0}
    # Now it runs, and is warm.
    helper.ask(picture, b"", 0)
    assert helper.pid
    with costing(helper.pid) as cost:
        told, _ = helper.ask(wish, hostile.make(), 512 << 20)
    large = hostile.name in LARGE
    assert cost.cpu_s <= (decoder.LIMITS.cpu_s if large else MOST_SECONDS), told
    assert cost.peak_bytes <= (decoder.LIMITS.memory_bytes if large else MOST_BYTES), told


@at(Place.MUSIC)
def test_music_is_refused_and_says_what_to_do(hostile: Hostile, tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(hostile.make())
    with pytest.raises(StageError) as refusal:
        read_music(path, 48_000)
    assert refusal.value.code in codes(hostile)
    assert refusal.value.remedy


@at(Place.SCRIPT)
@pytest.mark.parametrize("engine", [template, openai], ids=["template", "endpoint"])
def test_a_topic_stays_a_topic(
    hostile: Hostile, engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = tmp_path / "topic"
    topic.write_bytes(hostile.make().encode())
    said = {"narration": "I love the sea.", "scene": "cyan background"}
    with serving(Model(content=json.dumps(said))) as model:
        for name, value in (("URL", model.url), ("MODEL", "small"), ("KEY", KEY)):
            monkeypatch.setenv(f"MYSPINBOT_WRITER_{name}", value)
        context = make_context(tmp_path / "run", engine.Params(), {"topic": [topic]})
        if isinstance(hostile.expected, Failed):
            with pytest.raises(StageError) as refusal:
                engine.run(context)
            assert refusal.value.code in codes(hostile)
            assert model.asked == []
            return
        made = engine.run(context)
    script = made.outputs["script"][0].read_text()
    assert KEY not in script
    assert script.isprintable() or set(script) - set("\n") <= {c for c in script if c.isprintable()}
    for asked in model.asked:
        assert [message["role"] for message in asked["messages"]] == ["system", "user"]
        # The orders that count are the same for every topic, and the topic is one value.
        assert hostile.make()[:12] not in asked["messages"][0]["content"]
        wish = json.loads(asked["messages"][1]["content"])
        assert set(wish) == {"topic", "tone", "words"}
        assert wish["topic"].isprintable()


@at(Place.WEIGHTS)
def test_weights_are_refused_unopened(hostile: Hostile, tmp_path: Path) -> None:
    path = hostile.make(tmp_path)
    with pytest.raises(StageError) as refusal:
        open_source(path, "sd15", tmp_path)
    assert refusal.value.code in codes(hostile), refusal.value
    assert str(tmp_path) not in str(refusal.value)
    assert not [*tmp_path.rglob("ran")]


@at(Place.KEYS)
def test_keys_are_restored_from_nothing_strange(hostile: Hostile, tmp_path: Path) -> None:
    archive, keys = tmp_path / "keys.tar", tmp_path / "within" / "keys"
    archive.write_bytes(hostile.make())
    keys.mkdir(parents=True)
    (tmp_path / "outside").write_text("ours")
    with pytest.raises(DamagedBackupError):
        restore(archive, keys)
    assert {path.name for path in tmp_path.iterdir()} == {"keys.tar", "within", "outside"}
    assert [path.name for path in (tmp_path / "within").iterdir()] == ["keys"]
    assert not any(path.is_symlink() or path.is_dir() for path in keys.rglob("*"))


@pytest.fixture
async def store(attacked: Stack) -> AsyncIterator[ObjectStore]:
    async with open_store(attacked.store) as opened:
        yield opened


@at(Place.CHECKPOINT)
async def test_a_checkpoint_writes_only_into_its_folder(
    hostile: Hostile, tmp_path: Path, store: ObjectStore
) -> None:
    kept = await store.put("jobs/x/checkpoint.tar", hostile.make(), "application/x-tar")
    folder = tmp_path / "within" / "folder"
    folder.mkdir(parents=True)
    with pytest.raises(tarfile.FilterError) as refusal:
        await Transfer(store, "x", "s", 1).fetch_checkpoint(kept, folder)
    assert type(refusal.value).__name__ in codes(hostile)
    assert {path.name for path in folder.iterdir()} <= {"checkpoint", "checkpoint.tar"}
    assert [path.name for path in (tmp_path / "within").iterdir()] == ["folder"]
