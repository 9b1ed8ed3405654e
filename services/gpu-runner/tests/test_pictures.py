"""Pictures from outside: any flavour becomes upright sRGB, anything else a typed refusal."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from gpu_runner.media.pictures import MAX_SIDE, decode_picture, read_picture, write_picture
from gpu_runner.stage import StageError
from PIL import Image


def quarters(width: int = 64, height: int = 48) -> Image.Image:
    """A picture whose top left quarter is red, top right green, bottom left blue, rest white."""
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 255, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 255)
    return Image.fromarray(pixels)


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_a_photo_turned_by_its_camera_comes_out_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees clockwise to view"
    rgb = decode_picture(saved(quarters(), tmp_path / "a.jpg", exif=exif, quality=95))
    assert rgb.shape == (64, 48, 3)
    assert rgb[5, 40, 0] > 200 > rgb[5, 40, 2] + 100  # red, once top left, is now top right


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "P", "RGBA", "L", "LA", "1"])
def test_every_colour_mode_becomes_three_bytes_a_pixel(mode: str, tmp_path: Path) -> None:
    kind = "jpg" if mode == "CMYK" else "png"
    rgb = decode_picture(saved(quarters().convert(mode), tmp_path / f"a.{kind}"))
    assert rgb.shape == (48, 64, 3)
    assert rgb.dtype == np.uint8
    assert rgb[40, 60].min() > 240  # the white quarter stays white
    if mode in {"RGB", "CMYK", "P", "RGBA"}:
        assert rgb[4, 4, 0] > 180 > rgb[4, 4, 2] + 60


def test_sixteen_bit_grey_keeps_its_middle_tone(tmp_path: Path) -> None:
    grey = np.full((40, 40), 32768, np.uint16)
    rgb = decode_picture(saved(Image.fromarray(grey), tmp_path / "a.png"))
    assert abs(int(rgb[20, 20, 0]) - 128) <= 1


def test_floating_point_tiff_is_scaled_to_bytes(tmp_path: Path) -> None:
    values = np.full((40, 40), 0.5, np.float32)
    rgb = decode_picture(saved(Image.fromarray(values), tmp_path / "a.tiff"))
    assert abs(int(rgb[0, 0, 1]) - 127) <= 1


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    rgb = decode_picture(saved(Image.new("RGBA", (20, 20), (0, 0, 0, 0)), tmp_path / "a.png"))
    assert rgb.min() == 255


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue")]
    path = saved(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    picture = read_picture(path)
    assert tuple(picture.rgb[10, 10]) == (255, 0, 0)
    assert picture.frames == 3


def test_a_palette_with_alpha_is_laid_on_white(tmp_path: Path) -> None:
    image = quarters().quantize(4)
    path = saved(image, tmp_path / "a.png", transparency=image.getpixel((2, 2)))
    rgb = decode_picture(path)
    assert rgb[4, 4].min() == 255  # the red quarter is see-through
    assert rgb[4, 60, 1] > 200 > rgb[4, 60, 0] + 60


def test_sixteen_bit_colour_keeps_its_tones(tmp_path: Path) -> None:
    middle = np.zeros((40, 40, 3), ">u2")
    middle[..., 0] = 32768
    middle[..., 2] = 65535
    path = tmp_path / "a.png"
    rows = b"".join(b"\0" + row.tobytes() for row in middle)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 40, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    pixel = decode_picture(path)[20, 20]
    assert np.abs(pixel.astype(int) - (128, 0, 255)).max() <= 1


def test_a_huge_sixteen_bit_grey_picture_is_scaled_down_with_its_tone(tmp_path: Path) -> None:
    grey = np.full((20, 6000), 32768, np.uint16)
    rgb = decode_picture(saved(Image.fromarray(grey), tmp_path / "a.png"))
    assert max(rgb.shape) == MAX_SIDE
    assert abs(int(rgb[5, 5, 0]) - 128) <= 1


def test_a_very_large_photo_is_scaled_down(tmp_path: Path) -> None:
    rgb = decode_picture(saved(Image.new("L", (6000, 300)), tmp_path / "a.png"))
    assert max(rgb.shape) == MAX_SIDE


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    for side in (9_000, 60_000):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        bomb = tmp_path / "bomb.png"
        bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"\0"))
        with pytest.raises(StageError, match="photo 3 has more than 64 million") as refusal:
            decode_picture(bomb, "photo 3")
        assert refusal.value.code == "picture-too-large"


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "gif", "bmp", "tiff"])
def test_a_cut_off_picture_is_refused_by_its_number(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = Image.fromarray(rng.integers(0, 255, (200, 200, 3), np.uint8))
    whole = saved(noise, tmp_path / f"a.{kind}").read_bytes()
    cut = tmp_path / f"cut.{kind}"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StageError, match="photo 2") as refusal:
        decode_picture(cut, "photo 2")
    assert refusal.value.code == "picture-unreadable"
    assert "cut" not in str(refusal.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\xff\xd8\xff"],
)
def test_what_is_no_picture_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(StageError) as refusal:
        decode_picture(path)
    assert refusal.value.code == "picture-unreadable"


def test_a_written_picture_reads_back_the_same(tmp_path: Path) -> None:
    rgb = np.asarray(quarters())
    assert np.array_equal(decode_picture(write_picture(tmp_path / "a.png", rgb)), rgb)
