"""The gateway's decisions that need no server: forms, contents, ranges, times, who may come in."""

from __future__ import annotations

import io

import pytest
from contracts.graph import Binding, Graph, Stage
from gateway.artifacts.downloads import Span, parse_range
from gateway.installation.eta import StageTime, remaining_s
from gateway.jobs.multipart import (
    MalformedFormError,
    MultipartReader,
    PartBegin,
    PartData,
    PartEnd,
    boundary_of,
)
from gateway.problems import Problem
from gateway.settings import Limits, Settings
from gateway.uploads.content import picture_size, picture_type, sound_type
from gateway_media import RECORDING, photo
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image
from servicekit.settings import Environment

GRAPH = Graph(
    stages=(
        Stage(id="a", kind="k", weight=1),
        Stage(id="b", kind="k", weight=4, inputs={"x": Binding(stage="a", output="x")}),
        Stage(id="c", kind="k", weight=2, inputs={"x": Binding(stage="a", output="x")}),
        Stage(
            id="d",
            kind="k",
            weight=1,
            inputs={
                "x": Binding(stage="b", output="x"),
                "y": Binding(stage="c", output="y"),
            },
        ),
    )
)


def test_nothing_is_estimated_before_anything_has_run() -> None:
    assert remaining_s(GRAPH, {}) is None
    assert remaining_s(GRAPH, {"a": StageTime(ended=True)}) is None


def test_what_is_left_is_the_longest_path_by_what_the_stages_have_taken() -> None:
    times = {"a": StageTime(taken_s=10, ended=True)}
    assert remaining_s(GRAPH, times) == pytest.approx(40 + 10)


def test_a_running_stage_tells_its_own_time() -> None:
    times = {
        "a": StageTime(taken_s=10, ended=True),
        "b": StageTime(taken_s=20, left_s=20),
        "c": StageTime(taken_s=20, ended=True),
    }
    assert remaining_s(GRAPH, times) == pytest.approx(20 + 10)


def test_when_all_has_ended_nothing_is_left() -> None:
    ended = {stage.id: StageTime(taken_s=1, ended=True) for stage in GRAPH.stages}
    assert remaining_s(GRAPH, ended) == 0


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_picture_is_known_by_its_first_bytes_and_measured_without_decoding(kind: str) -> None:
    data = photo(40, 30, kind)
    assert picture_type(data[:32]) == f"image/{kind.lower()}"
    assert picture_size(data) == (40, 30)
    assert sound_type(data[:32]) is None


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\0\0"}),
        ("WEBP", {"save_all": True}),
        ("AVIF", {"save_all": True}),
    ],
)
def test_pictures_of_native_decoders_are_measured_without_these(
    kind: str, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.BytesIO()
    shades = [Image.new("RGB", (300, 200), shade) for shade in ("teal", "navy")]
    more = {"append_images": shades[1:]} if "save_all" in options else {}
    shades[0].save(file, kind, **options, **more)

    def decoding(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Image, "open", decoding)
    assert picture_size(file.getvalue()) == (300, 200)
    assert picture_size(file.getvalue()[:29]) is None


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (RECORDING[:32], "audio/wav"),
        (b"fLaC\0\0\0\x22", "audio/flac"),
        (b"OggS\0\2", "audio/ogg"),
        (b"ID3\4\0", "audio/mpeg"),
        (b"\xff\xfb\x90\x64\0", "audio/mpeg"),
        (b"\0\0\0\x20ftypM4A \0", "audio/mp4"),
        (b"\x1a\x45\xdf\xa3\x9f", "audio/webm"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", None),
        (b"\0\0\0\x20ftypheic\0", None),
        (b"#EXTM3U\n", None),
        (b"", None),
    ],
)
def test_a_recording_is_known_by_its_first_bytes(head: bytes, media_type: str | None) -> None:
    assert sound_type(head) == media_type


@given(st.binary(max_size=200))
def test_no_bytes_upset_the_judge_of_contents(data: bytes) -> None:
    for head in (b"", b"RIFF\0\0\0\0WEBPVP8", b"\0\0\0\x0cftypavif\0\0\0\x40meta"):
        picture_type(head + data)
        sound_type(head + data)
        picture_size(head + data)


FIELDS = st.lists(
    st.tuples(st.from_regex(r"\A[a-z]{1,9}\Z"), st.binary(max_size=300)), min_size=1, max_size=5
)


@given(FIELDS, st.data())
def test_a_form_means_the_same_however_it_is_cut_into_chunks(
    fields: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    body = b"".join(
        b'--b0und4ry\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
        % (name.encode(), value.replace(b"\r\n--b0und4ry", b""))
        for name, value in fields
    )
    body += b"--b0und4ry--\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    reader = MultipartReader(boundary_of("multipart/form-data; boundary=b0und4ry"))
    read: list[tuple[str, bytes]] = []
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        for event in reader.feed(body[start:end]):
            match event:
                case PartBegin(name=name):
                    read.append((name, b""))
                case PartData(data=some):
                    read[-1] = (read[-1][0], read[-1][1] + some)
                case PartEnd():
                    pass
    reader.finish()
    assert read == [(name, value.replace(b"\r\n--b0und4ry", b"")) for name, value in fields]


@given(st.binary(max_size=400))
def test_a_body_that_is_no_form_is_malformed_and_nothing_worse(body: bytes) -> None:
    assume(not body.lstrip().startswith(b"--b--"))
    reader = MultipartReader(b"b")
    with pytest.raises(MalformedFormError):  # noqa: PT012 - either step may find it out
        reader.feed(body)
        reader.finish()


@pytest.mark.parametrize("content_type", ["", "multipart/form-data", "text/plain; boundary=b"])
def test_a_form_without_a_boundary_is_malformed(content_type: str) -> None:
    with pytest.raises(MalformedFormError):
        boundary_of(content_type)


@given(st.integers(1, 10_000), st.integers(0, 12_000), st.integers(0, 12_000))
def test_a_range_is_cut_to_the_object(size: int, first: int, last: int) -> None:
    assume(first < size)
    wanted = Span(first, min(last, size - 1)) if first <= last else None
    assert parse_range(f"bytes={first}-{last}", size) == wanted


@given(st.integers(1, 10_000), st.integers(0, 100))
def test_a_range_outside_the_object_is_refused(size: int, beyond: int) -> None:
    with pytest.raises(Problem, match="range-not-satisfiable"):
        parse_range(f"bytes={size + beyond}-", size)


def test_settings_come_from_the_environment() -> None:
    values = {
        "MYSPINBOT_HTTP_PORT": "9000",
        "MYSPINBOT_ALLOWED_HOSTS": "Bot.example, other.example",
        "MYSPINBOT_LIMIT_PHOTOS": "3",
    }
    settings = Settings.of(Environment(values))
    assert (settings.host, settings.port) == ("127.0.0.1", 9000)
    assert settings.hosts == {"bot.example", "other.example"}
    assert settings.limits == Limits(photos=3)
