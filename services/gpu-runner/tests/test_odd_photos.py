"""Photos as people really have them, through the whole of `prepare_dataset`."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gpu_runner.engines.local import prepare_dataset
from gpu_runner.stage import StageError
from mini_support import Memory, make_context
from PIL import Image
from skimage import data

Bytes = Callable[[Image.Image], bytes]


def encoded(kind: str, **options: object) -> Bytes:
    def encode(photo: Image.Image) -> bytes:
        file = io.BytesIO()
        photo.save(file, kind, **options)
        return file.getvalue()

    return encode


def sixteen_bits(photo: Image.Image) -> bytes:
    pixels = (np.asarray(photo).astype(">u2") * 257).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", *photo.size, 16, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def turned(photo: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees clockwise to view"
    return encoded("JPEG", quality=92, exif=exif)(photo.transpose(Image.Transpose.ROTATE_90))


def moving(kind: str) -> Bytes:
    def encode(photo: Image.Image) -> bytes:
        later = [Image.new("RGB", photo.size, colour) for colour in ("navy", "olive")]
        return encoded(kind, save_all=True, append_images=later, duration=90)(photo)

    return encode


def converted(mode: str, kind: str, **options: object) -> Bytes:
    return lambda photo: encoded(kind, **options)(photo.convert(mode))


FLAVOURS: dict[str, Bytes] = {
    "plain PNG": encoded("PNG"),
    "16-bit PNG": sixteen_bits,
    "CMYK JPEG": converted("CMYK", "JPEG", quality=92),
    "JPEG turned by its camera": turned,
    "PNG with transparency": converted("RGBA", "PNG"),
    "AVIF": encoded("AVIF", quality=85),
    "animated GIF": moving("GIF"),
    "animated WebP": moving("WEBP"),
    "animated PNG": moving("PNG"),
}


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(data.astronaut()).crop((40, 0, 410, 400))


def prepare(folder: Path, *files: bytes) -> tuple[Memory, int]:
    """What was said, and how many crops were made."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"in-{number}" for number in range(len(files))]
    for path, content in zip(paths, files, strict=True):
        path.write_bytes(content)
    report = Memory()
    context = make_context(
        folder / "run", prepare_dataset.Params(), {"photos": paths}, report=report
    )
    return report, len(prepare_dataset.run(context).outputs["faces"])


def test_one_photo_in_every_flavour_is_seen_to_be_one_photo(
    photo: Image.Image, tmp_path: Path
) -> None:
    """Upright, in its colours, not blank: else a crop would not be known for the same picture."""
    report, crops = prepare(tmp_path, *(flavour(photo) for flavour in FLAVOURS.values()))
    assert crops == 1
    said = [message for _, message in report.said_lines]
    assert sum("is nearly the same picture" in message for message in said) == len(FLAVOURS) - 1
    assert not any("blurred" in message or "no colours" in message for message in said)


def cut_off(flavour: Bytes) -> Bytes:
    return lambda photo: flavour(photo)[:9000]


WRONG: dict[str, tuple[Bytes, str]] = {
    "a cut off JPEG": (cut_off(encoded("JPEG")), "picture-unreadable"),
    "a cut off animation": (cut_off(moving("WEBP")), "picture-unreadable"),
    "a HEIC photo of an iPhone": (
        lambda _: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200),
        "picture-unreadable",
    ),
    "a film": (lambda _: b"\0\0\0\x18ftypisom\0\0\0\0isomiso2" + bytes(200), "picture-unreadable"),
    "a drawing in SVG": (
        lambda _: b"<svg xmlns='http://www.w3.org/2000/svg'/>" * 9,
        "picture-unreadable",
    ),
    "nothing": (lambda _: b"", "picture-unreadable"),
    "a stamp": (lambda photo: encoded("PNG")(photo.resize((60, 65))), "face-too-small"),
    "one colour": (lambda _: encoded("PNG")(Image.new("RGB", (300, 300), "teal")), "no-face"),
    "a picture as long as a wall": (
        lambda _: encoded("PNG")(Image.new("1", (66_000, 1_000))),
        "picture-too-large",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_learned_from_is_named_with_a_next_step(
    wrong: str, photo: Image.Image, tmp_path: Path
) -> None:
    make, code = WRONG[wrong]
    with pytest.raises(StageError) as caught:
        prepare(tmp_path, make(photo))
    assert caught.value.code == code
    assert "photo 1 " in caught.value.cause
    assert len(caught.value.remedy) > 10
    assert "in-" not in str(caught.value)
