"""`myspinbot models list`, `pull`, `verify` and `path`, with the runner's own program and a hub."""

import json
import os
import pty
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_support import Command
from gpu_runner.models.manifest import find
from myspinbot.client.replies.system import Base, Engine
from myspinbot.commands.models import _tell_bases
from myspinbot.embedded.home import Home
from myspinbot.errors import FAILED, MISUSED, NOT_ALLOWED, NOT_FOUND, UNREACHABLE

from tests.support.hub import LocalHub, local_hub
from tests.support.weights import repository_of

UNET = "unet/diffusion_pytorch_model.fp16.safetensors"


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LocalHub]:
    """A hub with all weights; nothing is pulled yet."""
    with local_hub() as running:
        for name in ("sd15", "sdxl-vae"):
            source = find(name).source
            assert source is not None
            running.repositories[source.repository] = repository_of(find(name), large=200_000)
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setenv("MYSPINBOT_HOME", str(tmp_path))
        monkeypatch.delenv("MYSPINBOT_MODELS", raising=False)
        yield running


def test_a_model_is_pulled_verified_and_found(command: Command, tmp_path: Path) -> None:
    pulled = command("models", "pull", "sd15", "--accept-licence")
    assert (pulled.status, pulled.out) == (0, f"{tmp_path}/models/sd15\n"), pulled.err
    for told in ("CreativeML OpenRAIL-M", "commit 451f4fe", "size:"):
        assert told in pulled.err
    assert command("models", "path", "sd15").out == pulled.out
    assert command("models", "verify", "sd15").out.endswith("as pulled\n")
    listed = json.loads(command("models", "list", "--json").out)
    states = {each["name"]: each["state"] for each in listed["models"]}
    absent = dict.fromkeys(("sdxl", "sdxl-vae", "i2v", "xtts"), "absent")
    assert states == {"mini": "packaged", "sd15": "ready", **absent}
    [sd15] = [each for each in listed["models"] if each["name"] == "sd15"]
    assert (sd15["sizeIsApproximate"], bool(sd15["acceptance"]["by"])) == (False, True)
    again = json.loads(command("models", "pull", "sd15", "--json").out)
    assert again["path"] == pulled.out.strip()
    told = command("models", "list").out
    assert "sdxl\tabsent\tabout 6.9 GB\tCreativeML OpenRAIL++-M, to be accepted" in told


def test_what_a_pull_would_bring_is_told_and_nothing_comes(
    command: Command, tmp_path: Path
) -> None:
    told = command("models", "pull", "sd15", "--dry-run")
    assert told.status == 0
    assert f"{UNET}\t200.0 kB\tsha256:" in told.out
    planned = json.loads(command("models", "pull", "sd15", "--dry-run", "--json").out)
    assert planned["consentMissing"]
    assert planned["remainingBytes"] == sum(file["sizeBytes"] for file in planned["files"])
    assert not (tmp_path / "models").exists()


def test_damage_is_told_and_mended(command: Command, tmp_path: Path) -> None:
    command("models", "pull", "sdxl-vae")
    config = tmp_path / "models" / "sdxl-vae" / "config.json"
    content = config.read_bytes()
    config.write_bytes(content[::-1])
    found = command("models", "verify", "sdxl-vae")
    assert (found.status, "config.json: has another content" in found.out) == (FAILED, True)
    config.unlink()
    named = json.loads(command("models", "verify", str(config.parent), "--json").out)
    assert named["damages"] == [{"path": "config.json", "what": "missing"}]
    assert command("models", "path", "sdxl-vae").status == FAILED
    assert command("models", "pull", "sdxl-vae").status == 0
    assert config.read_bytes() == content


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("pull", "no-such-model"), NOT_FOUND, "There are mini, sd15"),
        (("path", "sd15"), NOT_FOUND, "myspinbot models pull sd15"),
        (("verify", "/"), FAILED, "not a model that was pulled"),
        (("pull", "sd15"), MISUSED, "--accept-licence"),
        # At a hub that never heard of it, as at one where it is private.
        (("pull", "sdxl"), NOT_ALLOWED, "hf auth login"),
        (("pul", "sd15"), MISUSED, "Did you mean"),
    ],
)
def test_each_error_of_weights_has_its_exit_status(
    command: Command, words: tuple[str, ...], status: int, said: str
) -> None:
    ended = command("models", *words)
    assert (ended.status, ended.out) == (status, ""), ended.err
    assert said in ended.err


def test_a_hub_that_is_away_has_its_exit_status(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    ended = command("models", "pull", "sd15", "--accept-licence")
    assert ended.status == UNREACHABLE
    assert "HF_ENDPOINT" in ended.err


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", MISUSED)])
def test_somebody_at_a_terminal_is_asked_about_the_licence(
    answer: str, status: int, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        ended = command("models", "pull", "sd15")
    os.close(ours)
    assert "Do you accept CreativeML OpenRAIL-M" in ended.err
    assert ended.status == status
    assert (tmp_path / "models" / "sd15").exists() == (answer == "y")


def test_several_systems_can_share_a_folder_of_weights(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.weights({}) == tmp_path / "models"
    assert home.weights({"MYSPINBOT_MODELS": "/srv/weights"}) == Path("/srv/weights")


def test_engines_tell_once_what_they_start_from(capsys: pytest.CaptureFixture[str]) -> None:
    base = Base(title="Stable Diffusion XL", size_bytes=6_941_000_000, licence="OpenRAIL++-M")
    listed = [Engine(kind=kind, engine="sdxl", base=base) for kind in ("train_lora", "portrait")]
    _tell_bases([*listed, Engine(kind="render_video", engine="warp")])
    told = capsys.readouterr().out.strip()
    assert told.startswith("sdxl starts from: Stable Diffusion XL (")
    assert told.endswith("licence OpenRAIL++-M)")
    assert len(told.splitlines()) == 1
