"""Weights from a hub on the loopback: what is asked, kept, checked, and how it fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from gpu_runner.models import pulling
from gpu_runner.models.errors import Fault, ModelError
from gpu_runner.models.hub import Hub
from gpu_runner.models.lock import LOCK_FILE, Lock, damages, read_lock
from gpu_runner.models.manifest import MODELS, Model, find
from gpu_runner.models.store import State, Store
from gpu_runner.models.weights import missing, weights_of
from gpu_runner.stage import StageError
from pydantic import ValidationError

from tests.support.hub import LocalHub, Repository, digest, local_hub
from tests.support.weights import repository_of

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
UNET = "unet/diffusion_pytorch_model.fp16.safetensors"
SD15, VAE = find("sd15"), find("sdxl-vae")
PULLED = [model for model in MODELS if model.source]


@pytest.fixture
def local() -> Iterator[LocalHub]:
    with local_hub() as running:
        for model in PULLED:
            assert model.source is not None
            running.repositories[model.source.repository] = repository_of(model)
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


@pytest.fixture(autouse=True)
def _no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)


def hub_of(local: LocalHub, **more: float) -> Hub:
    return Hub(endpoint=local.address, **{"timeout_s": 20, "tries": 1, "wait_s": 0.01, **more})


def held(local: LocalHub, model: Model) -> Repository:
    assert model.source is not None
    return local.repositories[model.source.repository]


def pull(
    store: Store,
    local: LocalHub,
    model: Model = SD15,
    accepted_by: str | None = "ada",
    revision: str | None = None,
    **more: float,
) -> Lock:
    hub = hub_of(local, **more)
    return pulling.pull(
        store,
        pulling.plan(store, model, hub, revision),
        hub,
        accepted_by=accepted_by,
        now=lambda: NOW,
        told=lambda _: None,
    )


def wait_for_bytes(folder: Path, count: int) -> None:
    """Until so much of a large file lies in a folder."""
    deadline = time.monotonic() + 60
    while not any(part.stat().st_size >= count for part in folder.rglob("*.part")):
        assert time.monotonic() < deadline


def refusal(store: Store, local: LocalHub, model: Model = SD15, **more: float) -> ModelError:
    with pytest.raises(ModelError) as refused:
        pull(store, local, model, **more)
    assert refused.value.remedy
    return refused.value


@pytest.mark.parametrize("model", PULLED, ids=lambda model: model.name)
def test_what_a_model_needs_is_pulled_and_locked_and_nothing_else(
    model: Model, local: LocalHub, store: Store
) -> None:
    lock = pull(store, local, model)
    folder = store.folder(model.name)
    files = {
        each.relative_to(folder).as_posix(): each.read_bytes()
        for each in folder.rglob("*")
        if each.is_file()
    }
    del files[LOCK_FILE]
    theirs = {k: v for k, v in held(local, model).files.items() if k != "unwanted.ckpt"}
    assert files == theirs
    assert {each.path: each.sha256 for each in lock.files} == {
        path: digest(content) for path, content in theirs.items()
    }
    assert read_lock(folder) == lock
    assert store.state(model.name) is State.READY
    assert not any(store.root.glob("*.partial"))


def test_a_plan_tells_sizes_and_licence_before_any_byte(local: LocalHub, store: Store) -> None:
    planned = pulling.plan(store, SD15, hub_of(local))
    wanted = {k: v for k, v in held(local, SD15).files.items() if k != "unwanted.ckpt"}
    assert planned.remaining_bytes == planned.offer.size_bytes == sum(map(len, wanted.values()))
    assert planned.offer.licence == "creativeml-openrail-m"
    assert planned.consent_missing
    assert [path for _, path, _ in local.asked if "resolve" in path] == []
    assert not store.root.exists()


def test_a_licence_must_be_accepted_and_who_did_is_kept(local: LocalHub, store: Store) -> None:
    refused = refusal(store, local, accepted_by=None)
    assert refused.fault is Fault.MISUSED
    assert "--accept-licence" in refused.remedy
    assert not store.root.exists()
    acceptance = pull(store, local, accepted_by="ada").acceptance
    assert acceptance is not None
    assert (acceptance.by, acceptance.at) == ("ada", NOW)
    assert acceptance.licence == "CreativeML OpenRAIL-M"
    assert not pulling.plan(store, SD15, hub_of(local)).consent_missing
    assert pull(store, local, VAE, accepted_by=None).acceptance is None


def test_a_connection_that_breaks_is_taken_up_where_it_broke(local: LocalHub, store: Store) -> None:
    local.break_after = [0, 1_000_000, 700_000]
    pull(store, local, VAE, tries=2)
    ranges = local.ranges("diffusion_pytorch_model.safetensors")
    # The redirect is asked for with the same range as what it leads to.
    assert list(dict.fromkeys(ranges)) == [None, "bytes=1000000-", "bytes=1700000-"]


def test_a_hub_that_keeps_breaking_off_is_given_up_and_gone_on_with_later(
    local: LocalHub, store: Store
) -> None:
    local.break_after = [500_000, 0, 0]
    refused = refusal(store, local, VAE)
    assert (refused.fault, "breaks off" in refused.cause) == (Fault.AWAY, True)
    assert store.state(VAE.name) is State.PARTIAL
    assert pulling.plan(store, VAE, hub_of(local)).remaining_bytes == 2_500_000
    local.break_after.clear()
    pull(store, local, VAE)
    assert "bytes=500000-" in local.ranges("diffusion_pytorch_model.safetensors")


def test_a_hub_without_ranges_sends_all_anew(local: LocalHub, store: Store) -> None:
    local.knows_ranges = False
    local.break_after = [1_000_000]
    lock = pull(store, local, VAE)
    assert all(isinstance(each, int) for each in damages(store.folder(VAE.name), lock))


def test_a_pull_that_is_killed_is_gone_on_with_and_sends_no_byte_twice(
    local: LocalHub, store: Store
) -> None:
    local.stall_after = 2_000_000
    words = [sys.executable, "-m", "gpu_runner.models", "pull", "sd15", "--accepted-by", "ada"]
    environment = {
        **os.environ,
        "HF_ENDPOINT": local.address,
        "MYSPINBOT_MODELS": str(store.root),
    }
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL) as process:
        assert local.stalled.wait(60)
        second = refusal(store, local)
        wait_for_bytes(store.partial("sd15"), 1_500_000)
        process.send_signal(signal.SIGKILL)
    assert (second.fault, str(process.pid) in second.cause) == (Fault.AWAY, True)
    [part] = store.partial("sd15").rglob("*.part")
    came = part.stat().st_size
    local.stall_after = None
    local.asked.clear()
    # The licence was accepted before the first byte, so it is not asked for again.
    lock = pull(store, local, accepted_by=None)
    assert lock.acceptance is not None
    assert f"bytes={came}-" in [each for _, _, each in local.asked]
    small = [path for method, path, _ in local.asked if path.endswith(".json")]
    assert small == []


def test_a_content_that_is_not_the_told_one_is_thrown_away(local: LocalHub, store: Store) -> None:
    for path in ("config.json", "diffusion_pytorch_model.safetensors"):
        content = held(local, VAE).files[path]
        local.lies = {path: bytes([content[0] ^ 1]) + content[1:]}
        refused = refusal(store, local, VAE)
        assert path in refused.cause
        assert not list(store.partial(VAE.name).rglob(f"{path}*"))
    (store.partial(VAE.name) / "config.json").unlink()
    local.lies = {"config.json": b"far too long" * 1_000}
    assert "config.json" in refusal(store, local, VAE).cause
    assert store.state(VAE.name) is State.PARTIAL
    local.lies.clear()
    pull(store, local, VAE)


def test_a_full_disk_is_told_before_the_first_byte(local: LocalHub, store: Store) -> None:
    planned = replace(pulling.plan(store, SD15, hub_of(local)), free_bytes=1_000_000)
    with pytest.raises(ModelError, match=r"needs 6 MB more.* has 1 MB left") as refused:
        pulling.pull(
            store, planned, hub_of(local), accepted_by="a", now=lambda: NOW, told=lambda _: None
        )
    assert refused.value.fault is Fault.FAILED
    assert not store.root.exists()


def test_a_hub_that_is_away_or_slow_is_told_apart(local: LocalHub, store: Store) -> None:
    with pytest.raises(ModelError, match="is away") as away:
        pulling.plan(store, SD15, Hub(endpoint="http://127.0.0.1:9", timeout_s=5))
    assert away.value.fault is Fault.AWAY
    local.stall_after = 0
    slow = refusal(store, local, VAE, timeout_s=0.3, tries=0)
    assert slow.fault is Fault.AWAY


@pytest.mark.parametrize(
    ("status", "fault"),
    [(503, Fault.AWAY), (429, Fault.AWAY), (403, Fault.FORBIDDEN), (418, Fault.REFUSED)],
)
def test_an_answer_of_the_hub_has_its_exit_status(
    status: int, fault: Fault, local: LocalHub, store: Store
) -> None:
    local.fails_with = status
    refused = refusal(store, local)
    assert refused.fault is fault
    assert str(status) in refused.cause


def test_a_gated_model_is_had_with_the_right_token_only(
    local: LocalHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(local, VAE).token = "hf_right"  # noqa: S105 - for the local hub
    for token in (None, "hf_wrong"):
        if token:
            monkeypatch.setenv("HF_TOKEN", token)
        refused = refusal(store, local, VAE)
        assert (refused.fault, "Agree at" in refused.remedy) == (Fault.FORBIDDEN, True)
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    pull(store, local, VAE)


def test_a_hidden_model_and_an_unknown_revision_are_told(local: LocalHub, store: Store) -> None:
    held(local, VAE).token, held(local, VAE).private = "hf_right", True
    assert refusal(store, local, VAE).fault is Fault.FORBIDDEN
    with pytest.raises(ModelError, match="no such revision"):
        pull(store, local, SD15, revision="nowhere")


def test_a_repository_without_a_needed_file_is_refused(local: LocalHub, store: Store) -> None:
    del held(local, SD15).files[UNET]
    assert UNET in refusal(store, local).cause


def test_a_hub_cannot_write_outside_of_the_folder(local: LocalHub, store: Store) -> None:
    held(local, SD15).files["tokenizer/../../../evil"] = b"!"
    assert "outside" in refusal(store, local).cause
    with pytest.raises(ValidationError, match="does not stay inside"):
        Lock.model_validate_json(
            json.dumps(
                {
                    **pull(store, local, VAE).model_dump(mode="json", by_alias=True),
                    "files": [{"path": "/etc/passwd", "sizeBytes": 1, "sha256": "0" * 64}],
                }
            )
        )


def test_what_is_there_is_not_pulled_again_and_damage_is_mended(
    local: LocalHub, store: Store
) -> None:
    lock = pull(store, local)
    local.asked.clear()
    assert pull(store, local, accepted_by=None) == lock
    assert [path for _, path, _ in local.asked if "resolve" in path] == []
    unet = store.folder("sd15") / UNET
    content = unet.read_bytes()
    unet.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert store.usable("sd15")
    [damage] = [each for each in damages(store.folder("sd15"), lock) if not isinstance(each, int)]
    assert (damage.path, damage.what) == (UNET, "content")
    assert pull(store, local, accepted_by=None).files == lock.files
    assert unet.read_bytes() == content
    assert {path for _, path, _ in local.asked if "resolve" in path} == {
        f"/{lock.repository}/resolve/{lock.revision}/{UNET}"
    }


def test_another_revision_takes_the_place_of_the_first(local: LocalHub, store: Store) -> None:
    first = pull(store, local, VAE)
    repository = replace(repository_of(VAE, seed=1), revision="b" * 40)
    assert VAE.source is not None
    local.repositories[VAE.source.repository] = repository
    second = pull(store, local, VAE, revision="main")
    assert (first.revision != second.revision, second.revision) == (True, "b" * 40)
    assert store.lock(VAE.name) == second
    assert [each.name for each in store.root.iterdir() if each.is_dir()] == [VAE.name]


def test_a_folder_that_is_no_model_is_never_used_nor_replaced(
    local: LocalHub, store: Store
) -> None:
    store.folder("sd15").mkdir(parents=True)
    (store.folder("sd15") / "mine.txt").write_text("precious")
    assert store.state("sd15") is State.DAMAGED
    assert "not a model" in refusal(store, local).cause
    assert (store.folder("sd15") / "mine.txt").read_text() == "precious"
    (store.folder("sd15") / LOCK_FILE).write_text("{}")
    assert "cannot be read" in refusal(store, local).cause


def test_a_runner_learns_where_weights_are_or_how_to_get_them(
    local: LocalHub, store: Store
) -> None:
    environment = {"MYSPINBOT_MODELS": str(store.root)}
    with pytest.raises(StageError) as absent:
        weights_of("sd15", environment)
    assert absent.value.code == "weights-absent"
    assert "2.1 GB" in absent.value.cause
    assert "CreativeML OpenRAIL-M" in absent.value.cause
    assert "myspinbot models pull sd15" in absent.value.remedy
    lacking = missing("sd15", environment)
    assert lacking is not None
    assert lacking.how_to_get == "myspinbot models pull sd15"
    pull(store, local)
    assert weights_of("sd15", environment) == store.folder("sd15")
    assert missing("sd15", environment) is None
    (store.folder("sd15") / UNET).unlink()
    with pytest.raises(StageError, match="damaged"):
        weights_of("sd15", environment)
    assert str(store.root) not in str(absent.value)
    assert (weights_of("mini", environment) / "model_index.json").is_file()
    assert missing("mini", environment) is None
