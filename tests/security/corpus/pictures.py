"""Photos that are bombs, lie about themselves, or are something else altogether."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
import zlib

from PIL import Image

from tests.security.corpus.inputs import Harmless, Place, failed, hostile, refused

_PNG = b"\x89PNG\r\n\x1a\n"
_LARGE = refused(422, "picture-too-large")
_NONE = refused(422, "not-a-picture")
_UNREADABLE = failed("picture-unreadable")
# Seen whole, they show nobody; what costs too much is given up.
_SHOWS_NOBODY = failed("no-face", "picture-unreadable")


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *, before: bytes = b"", data: bytes | None = None) -> bytes:
    """A black PNG of one byte a pixel that says to be so large."""
    if data is None:
        packer = zlib.compressobj(9)
        row = bytes(width + 1)
        data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return _PNG + chunk(b"IHDR", header) + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def encoded(kind: str, width: int = 300, height: int = 300, **options: object) -> bytes:
    """A real picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, kind, **options)
    return file.getvalue()


@hostile(Place.PHOTO, _LARGE)
def png_of_billions_of_pixels() -> bytes:
    """Claims 3.6 billion pixels in a file of a hundred bytes."""
    return png(60_000, 60_000, data=zlib.compress(bytes(10)))


@hostile(Place.PHOTO, _LARGE)
def png_just_above_the_limit() -> bytes:
    """Claims one row more than is taken."""
    return png(8_000, 8_001, data=b"")


@hostile(Place.PHOTO, _SHOWS_NOBODY)
def png_that_unpacks_a_thousandfold() -> bytes:
    """As many pixels as are just taken, in a file of a thousandth of that."""
    return png(8_000, 7_999)


@hostile(Place.PHOTO, _NONE)
def png_with_a_profile_that_is_a_bomb() -> bytes:
    """A colour profile of 200 MB, packed."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    return png(300, 300, before=chunk(b"iCCP", b"a\0\0" + packed))


@hostile(Place.PHOTO, _NONE)
def png_with_a_note_that_is_a_bomb() -> bytes:
    """A note of 200 MB, packed."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(200)) + packer.flush()
    return png(300, 300, before=chunk(b"zTXt", b"a\0\0" + packed))


@hostile(Place.PHOTO, _SHOWS_NOBODY)
def png_of_forty_thousand_notes() -> bytes:
    """Notes without end before the first pixel."""
    return png(300, 300, before=chunk(b"tEXt", b"a\0b") * 40_000)


@hostile(Place.PHOTO, _SHOWS_NOBODY)
def png_whose_data_is_two_gigabytes_long() -> bytes:
    """A chunk that claims to be longer than the file."""
    whole = png(300, 300)
    at = whole.index(b"IDAT") - 4
    return whole[:at] + struct.pack(">I", 2**31 - 1) + whole[at + 4 :]


@hostile(Place.PHOTO, _UNREADABLE)
def png_with_a_wrong_checksum() -> bytes:
    """Data that was changed on its way."""
    whole = bytearray(png(300, 300))
    whole[whole.index(b"IDAT") + 8] ^= 0xFF
    return bytes(whole)


@hostile(Place.PHOTO, _SHOWS_NOBODY)
def png_with_two_hundred_frames() -> bytes:
    """An animation, of which every frame costs memory."""
    file = io.BytesIO()
    frames = [Image.new("L", (300, 300), shade) for shade in (0, 255)] * 100
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    return file.getvalue()


@hostile(Place.PHOTO, _LARGE)
def jpeg_whose_frame_lies() -> bytes:
    """Claims 65,500 pixels a side over the data of 300."""
    whole = bytearray(encoded("JPEG"))
    at = whole.index(b"\xff\xc0") + 5
    whole[at : at + 4] = struct.pack(">HH", 65_500, 65_500)
    return bytes(whole)


@hostile(Place.PHOTO, _SHOWS_NOBODY)
def jpeg_of_thousands_of_scans() -> bytes:
    """Six megapixels in 5,000 passes over all of them: little to send, and much to do."""
    whole = encoded("JPEG", 3_000, 2_000, progressive=True, quality=20)
    last = whole.rindex(b"\xff\xda")
    length = struct.unpack(">H", whole[last + 2 : last + 4])[0]
    # Of the last scan only the head and a little data: it means "nothing more for these blocks".
    scan = whole[last : last + 2 + length] + b"\x00\x00\x00\x00"
    return whole[:-2] + scan * 5_000 + b"\xff\xd9"


@hostile(Place.PHOTO, _UNREADABLE)
def jpeg_that_breaks_off() -> bytes:
    """The first half of a picture."""
    whole = encoded("JPEG", 1_000, 1_000)
    return whole[: len(whole) // 2]


@hostile(Place.PHOTO, _SHOWS_NOBODY)
def jpeg_whose_notes_lead_to_themselves() -> bytes:
    """EXIF whose directory names itself as the next one."""
    looped = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x8769, 4, 1, 8, 8)
    whole = encoded("JPEG")
    return whole[:2] + b"\xff\xe1" + struct.pack(">H", len(looped) + 2) + looped + whole[2:]


@hostile(Place.PHOTO, _LARGE)
def gif_whose_screen_lies() -> bytes:
    """Claims 65,535 pixels a side."""
    whole = bytearray(encoded("GIF"))
    whole[6:10] = struct.pack("<HH", 65_535, 65_535)
    return bytes(whole)


@hostile(Place.PHOTO, _SHOWS_NOBODY)
def gif_of_five_thousand_frames() -> bytes:
    """Frames without end, where somebody might count them by decoding."""
    file = io.BytesIO()
    frames = [Image.new("P", (64, 64), shade) for shade in (0, 255)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], disposal=2)
    whole = file.getvalue()
    first = whole.index(b"!\xf9")
    return whole[:first] + whole[first:-1] * 2_500 + b";"


@hostile(Place.PHOTO, _LARGE)
def webp_whose_canvas_lies() -> bytes:
    """Claims 16,383 pixels a side over the data of 300."""
    picture = encoded("WEBP")[12:]
    canvas = struct.pack("<4sIB3x", b"VP8X", 10, 0) + struct.pack("<I", 16_382)[:3] * 2
    body = b"WEBP" + canvas + picture
    return b"RIFF" + struct.pack("<I", len(body)) + body


@hostile(Place.PHOTO, _LARGE)
def avif_whose_extent_lies() -> bytes:
    """Claims 65,535 pixels a side over the data of 300."""
    whole = bytearray(encoded("AVIF"))
    at = whole.index(b"ispe") + 8
    whole[at : at + 8] = struct.pack(">II", 65_535, 65_535)
    return bytes(whole)


@hostile(Place.PHOTO, _SHOWS_NOBODY)
def avif_whose_extent_is_small() -> bytes:
    """Claims one pixel over the data of three million, so that its header alone says too little."""
    whole = bytearray(encoded("AVIF", 2_000, 1_500))
    at = whole.index(b"ispe") + 8
    whole[at : at + 8] = struct.pack(">II", 1, 1)
    return bytes(whole)


def tiff(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    """A TIFF of one directory, whose entries are (tag, type, count, value)."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    directory = struct.pack("<H", len(entries)) + packed + struct.pack("<I", following)
    return b"II*\0\x08\0\0\0" + directory + bytes(64)


_GREY = ((258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1))


@hostile(Place.PHOTO, _LARGE)
def tiff_of_billions_of_pixels() -> bytes:
    """Claims 100,000 pixels a side."""
    return tiff((256, 4, 1, 100_000), (257, 4, 1, 100_000), *_GREY, (273, 4, 1, 8))


@hostile(Place.PHOTO, _UNREADABLE)
def tiff_whose_strips_are_beyond_its_end() -> bytes:
    """Data of 4 GB at an offset of 4 GB."""
    size = ((256, 4, 1, 300), (257, 4, 1, 300))
    return tiff(*size, *_GREY, (273, 4, 1, 2**32 - 9), (278, 4, 1, 300), (279, 4, 1, 2**32 - 9))


@hostile(Place.PHOTO, _UNREADABLE)
def tiff_that_leads_to_itself() -> bytes:
    """The next page is this page, for ever; and there is no pixel on it."""
    return tiff((256, 4, 1, 300), (257, 4, 1, 300), *_GREY, (273, 4, 1, 2**31), following=8)


@hostile(Place.PHOTO, _LARGE)
def bmp_of_billions_of_pixels() -> bytes:
    """Claims 2,000,000 by 2,000 pixels."""
    head = struct.pack("<IiiHHIIiiII", 40, 2_000_000, 2_000, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head


@hostile(Place.PHOTO, _SHOWS_NOBODY)
def page_of_html_within_a_jpeg() -> bytes:
    """A picture that a browser which guesses would run as a page."""
    page = b"<html><script>fetch('/api/tokens')</script></html>"
    whole = encoded("JPEG")
    return whole[:2] + b"\xff\xfe" + struct.pack(">H", len(page) + 2) + page + whole[2:]


@hostile(Place.PHOTO, _NONE)
def script_that_begins_like_a_gif() -> bytes:
    """Valid JavaScript whose first letters are a GIF's."""
    return b"GIF89a=1;fetch('/api/tokens');" + b"//" * 400


@hostile(Place.PHOTO, _SHOWS_NOBODY)
def archive_behind_a_png() -> bytes:
    """A picture and a ZIP archive at the same time."""
    return png(300, 300) + archive_of_zeros()


@hostile(Place.PHOTO, _NONE)
def drawing_with_an_entity() -> bytes:
    """SVG that asks its reader for a file of the machine."""
    entity = b'<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    return b'<?xml version="1.0"?>' + entity + b'<svg xmlns="http://www.w3.org/2000/svg">&x;</svg>'


@hostile(Place.PHOTO, _NONE)
def page_of_html() -> bytes:
    """A page with a script, where a picture should be."""
    return b"<!DOCTYPE html><script>alert(document.cookie)</script>" * 4


@hostile(Place.PHOTO, _NONE)
def program_in_postscript() -> bytes:
    """EPS, for which Pillow would start Ghostscript."""
    box = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    return box + b"(/etc/passwd) (r) file\n" * 20


@hostile(Place.PHOTO, _NONE)
def document_in_pdf() -> bytes:
    """A document with an action that opens by itself."""
    return b"%PDF-1.7\n1 0 obj<</OpenAction<</S/Launch/F(/bin/sh)>>>>endobj\n" * 3


@hostile(Place.PHOTO, _NONE)
def playlist_as_a_photo() -> bytes:
    """What FFmpeg would follow to a file, if it were asked what this is."""
    return b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n" * 4


@hostile(Place.PHOTO, _NONE)
def archive_of_zeros() -> bytes:
    """A ZIP bomb: 64 MB in 64 kB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../photo.png", bytes(64 << 20))
    return file.getvalue()


@hostile(Place.PHOTO, _NONE)
def packed_zeros() -> bytes:
    """A gzip bomb."""
    return gzip.compress(bytes(64 << 20))


@hostile(Place.PHOTO, _NONE)
def tar_of_a_link() -> bytes:
    """An archive with a link out of its folder."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        link = tarfile.TarInfo("photo.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return file.getvalue()


class _Runs:
    def __reduce__(self) -> tuple[object, ...]:
        return eval, ("open('/tmp/ran', 'w')",)


@hostile(Place.PHOTO, _NONE)
def pickle_that_runs() -> bytes:
    """A pickle, which runs a program when it is opened."""
    return pickle.dumps(_Runs())


@hostile(Place.PHOTO, _NONE)
def picture_of_a_phone_that_is_none() -> bytes:
    """HEIF, which nobody here decodes."""
    return b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)


@hostile(Place.PHOTO, refused(413, "upload-too-large"))
def photo_of_thirteen_megabytes() -> bytes:
    """More bytes than a photo may have."""
    return png(300, 300) + bytes(13_000_000)


@hostile(Place.PHOTO, _NONE)
def first_byte_of_a_png() -> bytes:
    """Too short to be anything."""
    return _PNG[:1]


@hostile(Place.PHOTO, Harmless())
def nothing() -> bytes:
    """No byte at all, as browsers send for no choice: then there is no photo."""
    return b""
