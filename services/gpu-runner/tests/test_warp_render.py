# ruff: noqa: RUF001 - phonemes are written in IPA
"""Whole videos, rendered for real and looked at with the face mesh."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import soundfile
from gpu_runner.engines.warp import measure
from gpu_runner.engines.warp.eyes import build_lids, is_drawing
from gpu_runner.engines.warp.neutral import neutralise
from gpu_runner.engines.warp.render_video import Params, run
from gpu_runner.faces.crops import crop_portrait, widest_face
from gpu_runner.faces.mesh import find_meshes, refine_mesh
from gpu_runner.media.pictures import decode_picture, write_picture
from gpu_runner.media.video import stream_lengths
from gpu_runner.stage import StageContext, StageError, StageResult
from numpy.typing import NDArray
from pydantic import ValidationError
from report_support import Talk
from skimage import data

SAMPLES = Path(__file__).parents[3] / "samples" / "photos"
RATE = 24_000
SENTENCE = "hɑpi tu mit ju  ʃi bɑt ɑ bɪɡ blu bOt  mɑmɑ wɑnts sʌm fɹɛʃ A"


class Progress(Talk):
    """Remembers what a stage said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[float, float, str]] = []

    def progress(self, done: float, total: float, unit: str, message: str = "") -> None:
        del message
        self.said.append((done, total, unit))

    def checkpoint(self, directory: Path, step: int) -> None:
        raise AssertionError(directory, step)

    def sample(self, path: Path, caption: str, step: int) -> None:
        raise AssertionError(path, caption, step)


def speech(folder: Path) -> tuple[Path, Path]:
    """A buzz shaped like speech, with exact timings: vowels are loud, stops silent."""
    at, phonemes = 0.35, []
    for symbol in SENTENCE.replace("  ", "|"):
        if symbol == "|":
            at += 0.55
        elif symbol != " ":
            length = 0.13 if symbol in "ɑiuɪɛʌAO" else 0.07
            phonemes.append({"symbol": symbol, "start": at, "end": at + length})
            at += length
    duration = at + 0.5
    time = np.arange(int(duration * RATE)) / RATE
    loud = np.zeros_like(time)
    for phoneme in phonemes:
        level = 0.35 if phoneme["symbol"] in "ɑiuɪɛʌAO" else 0.06
        loud[(time >= phoneme["start"]) & (time < phoneme["end"])] = level
    buzz = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 12))
    sound, timings = folder / "speech.wav", folder / "timings.json"
    soundfile.write(sound, (loud * buzz * 0.5).astype(np.float32), RATE)
    timings.write_text(
        json.dumps({"sample_rate": RATE, "duration": duration, "phonemes": phonemes, "words": []})
    )
    return sound, timings


def context(
    folder: Path, portrait: NDArray[np.uint8], params: Params, seed: int = 7
) -> StageContext:
    sound, timings = speech(folder)
    out = folder / "out"
    out.mkdir(exist_ok=True)
    return StageContext(
        params=params,
        inputs={
            "portrait": [write_picture(folder / "portrait.png", portrait)],
            "speech": [sound],
            "timings": [timings],
        },
        output=out,
        scratch=folder,
        device="cpu",
        seed=seed,
        report=Progress(),
    )


def woman() -> NDArray[np.uint8]:
    photo = np.asarray(data.astronaut())
    return crop_portrait(photo, widest_face(photo, "the photo"))


def drawing(name: str = "1-studio") -> NDArray[np.uint8]:
    photo = decode_picture(SAMPLES / f"{name}.png")
    return crop_portrait(photo, widest_face(photo, "the photo"))


def decoded(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="module", params=["photograph", "drawing"])
def rendered(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[StageContext, StageResult]:
    folder = tmp_path_factory.mktemp(request.param)
    portrait = woman() if request.param == "photograph" else drawing()
    here = context(folder, portrait, Params())
    return here, run(here)


def test_the_video_is_h264_and_aac_of_equal_length(
    rendered: tuple[StageContext, StageResult],
) -> None:
    _, result = rendered
    (video,) = result.outputs["video"]
    with av.open(str(video)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert (picture.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert picture.codec_context.pix_fmt == "yuv420p"
        assert (picture.width, picture.height) == (512, 512)
        assert picture.average_rate == 25
    lengths = stream_lengths(video)
    assert abs(lengths.video - lengths.audio) < 0.1
    assert lengths.frames == result.metrics["frames"]
    assert result.metrics["real_time_factor"] > 0
    head = video.read_bytes()[:4096]
    assert head.index(b"moov") < 64  # the index comes first: playback starts at once


def test_the_mouth_seen_in_the_file_follows_the_one_intended(
    rendered: tuple[StageContext, StageResult],
) -> None:
    _, result = rendered
    tracks = json.loads(result.outputs["report"][0].read_text())["tracks"]
    frames = decoded(result.outputs["video"][0])
    (near,) = find_meshes(frames[0])
    every = range(0, len(frames), 2)
    seen = np.array([measure.lip_gap(frames[i], near) for i in every])
    meant = np.array(tracks["opening_intended"])[list(every)]
    assert measure.correlation(seen, meant) > 0.75
    shifted = [measure.correlation(seen[3:], meant[:-3]), measure.correlation(seen[:-3], meant[3:])]
    assert measure.correlation(seen, meant) > max(shifted)


def test_the_mouth_is_shut_in_silence_and_open_in_speech(
    rendered: tuple[StageContext, StageResult],
) -> None:
    _, result = rendered
    metrics = result.metrics
    assert metrics["opening_vs_intended"] >= 0.93
    assert abs(metrics["lag_intended_frames"]) <= 1
    assert metrics["opening_vs_sound"] > 0.3
    assert abs(metrics["opening_in_pauses"]) < 0.012
    # The mesh sees less of a gap than there is, the more so the softer the photograph.
    assert metrics["opening_speaking"] > 0.010
    assert metrics["unknown_phonemes"] == 0
    assert metrics["closed_at_pbm"] == 1
    assert metrics["shut_in_pauses"] == 1


def test_the_face_stays_the_same_person_before_a_still_background(
    rendered: tuple[StageContext, StageResult],
) -> None:
    _, result = rendered
    assert result.metrics["identity_distance"] < 0.45
    assert result.metrics["flicker_background"] < 0.1


def test_progress_is_told_for_every_frame_and_never_goes_back(
    rendered: tuple[StageContext, StageResult],
) -> None:
    here, result = rendered
    said = here.report.said  # type: ignore[attr-defined]
    done = [entry[0] for entry in said if entry[2] == "frame"]
    assert done == sorted(done)
    assert set(range(1, result.metrics["frames"] + 1)) <= set(done)


def test_the_eyes_close_and_open_again(rendered: tuple[StageContext, StageResult]) -> None:
    _, result = rendered
    assert result.metrics["blinks"]
    frames = decoded(result.outputs["video"][0])
    (near,) = find_meshes(frames[0])
    upper, lower = [159, 386], [145, 374]
    gaps = []
    for frame in frames[::1]:
        points = refine_mesh(frame, near).points
        gaps.append(float((points[lower, 1] - points[upper, 1]).mean()))
    assert min(gaps) < 0.75 * float(np.median(gaps))
    assert gaps[-1] > 0.85 * float(np.median(gaps))


def test_the_same_seed_gives_the_same_video(tmp_path: Path) -> None:
    videos = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        here = context(tmp_path / name, drawing("3-office"), Params(size=256), seed=seed)
        videos.append(np.stack(decoded(run(here).outputs["video"][0])[40:50]).astype(int))
    assert np.array_equal(videos[0], videos[1])
    assert not np.array_equal(videos[0], videos[2])


def test_size_rate_and_stillness_are_the_users_choice(tmp_path: Path) -> None:
    params = Params(fps=30, size=256, motion=0.0, blink=False)
    result = run(context(tmp_path, drawing("5-street"), params))
    frames = decoded(result.outputs["video"][0])
    assert frames[0].shape == (256, 256, 3)
    assert result.metrics["blinks"] is False
    # Only the lower face moves when the head is held still.
    change = np.abs(frames[10][:90].astype(int) - frames[40][:90]).mean()
    assert change < 1.0


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(ValidationError):
        Params.model_validate({"lipstick": True})


def test_a_portrait_without_a_face_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="the portrait shows no face"):
        run(context(tmp_path, np.asarray(data.coffee()), Params()))


def test_timings_of_other_speech_are_refused(tmp_path: Path) -> None:
    here = context(tmp_path, drawing(), Params())
    timings = json.loads(here.one("timings").read_text())
    here.one("timings").write_text(json.dumps(timings | {"duration": 60.0}))
    with pytest.raises(StageError) as refusal:
        run(here)
    assert refusal.value.code == "timings-mismatch"


def test_sound_that_is_no_sound_is_refused(tmp_path: Path) -> None:
    here = context(tmp_path, drawing(), Params())
    here.one("speech").write_bytes(b"hush")
    with pytest.raises(StageError) as refusal:
        run(here)
    assert refusal.value.code == "speech-unreadable"


def test_a_smile_with_teeth_is_closed_and_its_teeth_are_kept() -> None:
    portrait = woman()
    (mesh,) = find_meshes(portrait)
    face = neutralise(portrait, mesh.points)
    assert face.teeth is not None
    grid = face.frame.grid(portrait.shape[:2])
    above = (face.mouth.below_contact(grid) < 0)[..., None]
    closed = np.where(above, face.upper, face.lower)
    before, after = measure.lip_gap(portrait, mesh), measure.lip_gap(closed, mesh)
    assert before > 0.06
    assert after < 0.6 * before
    # Resampled, but not moved.
    assert np.abs(closed[:100].astype(int) - portrait[:100]).mean() < 0.5


def test_drawings_are_told_from_photographs() -> None:
    for portrait, drawn in ((woman(), False), (drawing("2-garden"), True), (drawing(), True)):
        (mesh,) = find_meshes(portrait)
        assert is_drawing(portrait, mesh.points) is drawn


def test_a_drawn_eye_is_covered_wholly_and_nothing_else_is(tmp_path: Path) -> None:
    del tmp_path
    portrait = drawing()
    (mesh,) = find_meshes(portrait)
    face = neutralise(portrait, mesh.points)
    lids = build_lids(face, drawn=True)
    assert lids is not None
    shut = lids.closed(portrait, 1.0)
    eye = mesh.points[[159, 145], :2].mean(axis=0).astype(int)
    skin = np.median(portrait[eye[1] + 60 : eye[1] + 90, eye[0] - 5 : eye[0] + 5], axis=(0, 1))
    assert np.abs(shut[eye[1], eye[0]] - skin).max() < 12
    assert np.abs(portrait[eye[1], eye[0]] - skin).max() > 60
    changed = np.abs(shut.astype(int) - portrait).max(axis=-1) > 3
    columns, rows = np.flatnonzero(changed.any(axis=0)), np.flatnonzero(changed.any(axis=1))
    assert mesh.points[:, 0].min() < columns[0]
    assert columns[-1] < mesh.points[:, 0].max()
    assert rows[-1] < mesh.points[4, 1] + 20


def test_a_grey_tilted_photograph_is_rendered_too(tmp_path: Path) -> None:
    photo = np.asarray(data.astronaut())
    turned = cv2.warpAffine(photo, cv2.getRotationMatrix2D((226, 120), 14, 1.0), (512, 512))
    grey = np.repeat(cv2.cvtColor(turned, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    portrait = crop_portrait(grey, widest_face(grey, "the photo"))
    result = run(context(tmp_path, portrait, Params()))
    assert result.metrics["opening_vs_intended"] >= 0.93
    frame = decoded(result.outputs["video"][0])[30].astype(int)
    assert np.ptp(frame[150:450, 150:350], axis=-1).mean() < 4
