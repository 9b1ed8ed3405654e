"""Content Credentials in real files: they name the job, and break when the file is edited."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
import soundfile
from contracts.provenance import GENERATION, Generation
from gpu_runner.child import LineReport
from gpu_runner.credentials import Identity, Signing, UnusableCredentialsError
from gpu_runner.main import find_credentials
from gpu_runner.media.video import stream_lengths, write_video
from gpu_runner.stage import StageError
from myspinbot.provision.identity import make_identity
from PIL import Image
from servicekit.settings import Environment, SettingsError

MADE = Generation(
    job="01jq",
    stage="portrait",
    attempt=2,
    kind="generate_portrait",
    engine="mini",
    engine_version="3",
    created_at=datetime(2026, 5, 3, tzinfo=UTC),
)
PICTURE = np.random.default_rng(1).integers(0, 256, (32, 48, 3), np.uint8)


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "credentials.pem"
    path.write_bytes(make_identity(datetime.now(UTC)).pem())
    return path


def png(path: Path) -> None:
    Image.fromarray(PICTURE).save(path)


def webp(path: Path) -> None:
    frames = [Image.fromarray(np.roll(PICTURE, shift, 1)) for shift in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)


def wav(path: Path) -> None:
    soundfile.write(path, np.sin(np.arange(24_000) / 20).astype(np.float32), 24_000)


def mp4(path: Path) -> None:
    sound = np.sin(np.arange(24_000) / 20).astype(np.float32)
    frames = (PICTURE for _ in range(25))
    write_video(path, frames, count=25, fps=25, sound=sound, sample_rate=24_000)


Make = Callable[[Path], None]
FILES: dict[str, Make] = {"a.png": png, "a.jpg": png, "a.webp": webp, "a.wav": wav, "a.mp4": mp4}


@pytest.fixture(params=FILES)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    FILES[request.param](path)
    return path


def told(path: Path) -> tuple[dict[str, Any], set[str]]:
    """The newest manifest of a file, and what is wrong with it but that nobody knows the signer."""
    with c2pa.Reader(str(path)) as reader:
        store = json.loads(reader.json())
    codes = {status["code"] for status in store["validation_status"]}
    return store["manifests"][store["active_manifest"]], codes - {"signingCredential.untrusted"}


def test_a_file_says_what_it_is_and_which_job_made_it(file: Path, identity: Path) -> None:
    Signing(identity, MADE).sign(file)
    manifest, wrong = told(file)
    assert not wrong
    assert manifest["signature_info"]["issuer"] == "MySpinBot installation"
    said = {each["label"]: each["data"] for each in manifest["assertions"]}
    assert Generation.model_validate(said[GENERATION]) == MADE
    [action] = said["c2pa.actions.v2"]["actions"]
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert "thumbnail" not in manifest


def test_what_a_file_holds_stays_the_same(file: Path, identity: Path) -> None:
    before = file.with_stem("before")
    shutil.copy(file, before)
    Signing(identity, MADE).sign(file)
    assert file.read_bytes() != before.read_bytes()
    if file.suffix == ".wav":
        assert np.array_equal(soundfile.read(file)[0], soundfile.read(before)[0])
    elif file.suffix == ".mp4":
        assert stream_lengths(file) == stream_lengths(before)
        # The index stays in front of the pictures, so that a player can begin at once.
        content = file.read_bytes()
        assert content.index(b"moov") < content.index(b"mdat")
    else:
        assert Image.open(file).tobytes() == Image.open(before).tobytes()
    assert {each.name for each in file.parent.iterdir()} == {file.name, before.name}


def test_an_edited_file_is_not_what_was_signed(file: Path, identity: Path) -> None:
    Signing(identity, MADE).sign(file)
    content = bytearray(file.read_bytes())
    place = len(content) - 16 if file.suffix in (".png", ".jpg", ".mp4") else len(content) // 2
    content[place] ^= 1
    file.write_bytes(content)
    assert told(file)[1]


def test_what_a_person_sent_is_not_called_generated(file: Path, identity: Path) -> None:
    before = file.read_bytes()
    Signing(identity, MADE.model_copy(update={"kind": "prepare_dataset"})).sign(file)
    assert file.read_bytes() == before


def test_other_files_stay_as_they_are(tmp_path: Path, identity: Path) -> None:
    path = tmp_path / "voice.safetensors"
    path.write_bytes(b"weights")
    Signing(identity, MADE).sign(path)
    assert path.read_bytes() == b"weights"


def test_what_is_shown_on_the_way_is_signed_and_a_result_only_once(
    tmp_path: Path, identity: Path
) -> None:
    path = tmp_path / "a.png"
    png(path)
    report = LineReport(io.StringIO(), Signing(identity, MADE))
    report.sample(path, "before training", 0)
    shown = path.read_bytes()
    assert not told(path)[1]
    report.sign(path)
    assert path.read_bytes() == shown
    png(path)
    report.sign(path)
    assert not told(path)[1]


@pytest.mark.parametrize("content", ["", "no key", None])
def test_a_file_without_key_and_certificate_is_refused(
    tmp_path: Path, content: str | None, identity: Path
) -> None:
    path = tmp_path / "credentials.pem"
    if content is None:
        # A key alone: its certificate was forgotten.
        content = identity.read_text().split("-----BEGIN CERT")[0]
    path.write_text(content)
    with pytest.raises(UnusableCredentialsError, match=r"one private key and its certificate"):
        Identity.read(path)
    picture = tmp_path / "a.png"
    png(picture)
    before = picture.read_bytes()
    with pytest.raises(StageError, match="MYSPINBOT_CREDENTIALS") as refused:
        Signing(path, MADE).sign(picture)
    assert refused.value.code == "credentials-unusable"
    assert picture.read_bytes() == before


def test_a_runner_that_is_given_no_key_does_not_start(tmp_path: Path, identity: Path) -> None:
    wrong = tmp_path / "credentials.pem"
    wrong.write_text("no key")
    with pytest.raises(SettingsError, match="one private key and its certificate"):
        find_credentials(Environment({"MYSPINBOT_CREDENTIALS": str(wrong)}))
    assert find_credentials(Environment({"MYSPINBOT_CREDENTIALS": str(identity)})) == identity
    assert find_credentials(Environment({})) is None


def test_a_stages_process_does_not_load_what_speaks_to_the_broker() -> None:
    command = "import gpu_runner.child, sys; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", command], text=True).split()
    assert not {"nats", "aiohttp", "c2pa", "torch"} & set(loaded)
