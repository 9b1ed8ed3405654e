"""Recordings and music whose headers lie, that unpack to hours, or that name other files."""

from __future__ import annotations

import io
import struct
from fractions import Fraction

import av
import numpy as np

from tests.security.corpus.inputs import Expected, Harmless, Place, failed, hostile, refused

_NONE = refused(422, "not-a-recording")
_DAMAGED = failed("not-audio")
_SILENT = failed("not-audio", "clip-silent", "clip-too-short", "clip-without-speech")
_LONG = failed("clip-too-long")


def wav(
    data: bytes = bytes(200_000),
    *,
    kind: int = 1,
    channels: int = 1,
    rate: int = 16_000,
    bits: int = 16,
    align: int = 2,
    said: int | None = None,
    head: bytes = b"RIFF",
    before: bytes = b"",
) -> bytes:
    """A WAV file that may say anything of itself."""
    told = struct.pack("<HHIIHH", kind, channels, rate % 2**32, 32_000, align, bits)
    size = len(data) if said is None else said
    body = b"WAVE" + before + b"fmt " + struct.pack("<I", len(told)) + told
    body += b"data" + struct.pack("<I", size) + data
    return head + struct.pack("<I", len(body)) + body


def silence(seconds: int, rate: int) -> bytes:
    """FLAC, which needs a few bytes for a long time of it."""
    file, size = io.BytesIO(), 4_608
    with av.open(file, "w", format="flac") as opened:
        stream = opened.add_stream("flac", rate=rate, layout="mono")
        block = np.zeros((1, size), np.int16)
        for number in range(seconds * rate // size):
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = number * size
            opened.mux(stream.encode(frame))
        opened.mux(stream.encode(None))
    return file.getvalue()


@hostile(Place.CLIP, _SILENT)
def wav_that_claims_four_gigabytes() -> bytes:
    """A length of all ones over 200 kB."""
    return wav(said=2**32 - 1)


@hostile(Place.CLIP, _DAMAGED)
def wav_at_no_rate() -> bytes:
    """No sample in a second, by which something is divided."""
    return wav(rate=0)


@hostile(Place.CLIP, _SILENT)
def wav_at_four_gigahertz() -> bytes:
    """More samples in a second than fit into memory."""
    return wav(rate=2**32 - 1)


@hostile(Place.CLIP, _DAMAGED)
def wav_of_65535_channels() -> bytes:
    """More channels than anybody has ears."""
    return wav(channels=65_535, align=65_534)


@hostile(Place.CLIP, _DAMAGED)
def wav_of_no_channel() -> bytes:
    """No channel at all."""
    return wav(channels=0)


@hostile(Place.CLIP, _SILENT)
def wav_of_blocks_of_nothing() -> bytes:
    """Blocks of no byte, of which there are without end."""
    return wav(align=0, bits=0)


@hostile(Place.CLIP, _SILENT)
def wav_of_a_codec_that_is_none() -> bytes:
    """A codec that nobody knows."""
    return wav(kind=0x7A7A)


@hostile(Place.CLIP, _DAMAGED)
def wav_that_ends_in_its_head() -> bytes:
    """Cut off where its format should be told."""
    return wav()[:24] + bytes(20)


@hostile(Place.CLIP, _SILENT)
def wav_with_a_part_that_is_longer_than_it() -> bytes:
    """A part before the sound, which claims two gigabytes."""
    return wav(before=b"LIST" + struct.pack("<I", 2**31 - 1))


@hostile(Place.CLIP, _SILENT)
def rf64_of_exabytes() -> bytes:
    """The large kind of WAV, whose sizes of 64 bits are all ones."""
    sizes = b"ds64" + struct.pack("<IQQQI", 28, 2**64 - 1, 2**64 - 1, 2**64 - 1, 0)
    return wav(before=sizes, head=b"RF64", said=2**32 - 1)


@hostile(Place.CLIP, _SILENT)
def page_of_html_behind_a_wav() -> bytes:
    """Sound and a page with a script at the same time."""
    return wav() + b"<script>fetch('/api/tokens')</script>"


@hostile(Place.CLIP, _LONG)
def flac_of_half_an_hour() -> bytes:
    """Silence of half an hour in 50 kB, which would unpack to a thousandfold."""
    return silence(1_800, 8_000)


@hostile(Place.CLIP, _DAMAGED)
def ogg_that_is_all_head() -> bytes:
    """Page after page that begins and holds nothing."""
    page = b"OggS\0\x02" + bytes(8) + struct.pack("<IIIB", 1, 0, 0, 0)
    return page * 20_000


@hostile(Place.CLIP, _DAMAGED)
def mp3_whose_tag_is_endless() -> bytes:
    """A tag of 256 MB, as it says, before the sound."""
    return b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(100_000)


def box(kind: bytes, body: bytes, said: int | None = None) -> bytes:
    """One box of an MP4."""
    return struct.pack(">I", len(body) + 8 if said is None else said) + kind + body


_FTYP = box(b"ftyp", b"M4A \0\0\0\0isomM4A ")


@hostile(Place.CLIP, _DAMAGED)
def mp4_whose_boxes_are_endless() -> bytes:
    """Boxes within boxes, ten thousand deep, each longer than the file."""
    return _FTYP + b"".join(struct.pack(">I", 2**31 - 1) + b"moov" for _ in range(10_000))


def track(*tables: bytes, reference: bytes | None = None) -> bytes:
    """An MP4 with one track of sound and these tables of samples."""
    own = reference or box(b"url ", b"\0\0\0\1")
    data = box(b"dinf", box(b"dref", struct.pack(">II", 0, 1) + own))
    entry = bytes(6) + b"\0\1" + bytes(8) + struct.pack(">HHHHI", 1, 16, 0, 0, 16_000 << 16)
    described = box(b"stsd", struct.pack(">II", 0, 1) + box(b"sowt", entry))
    table = box(b"stbl", described + b"".join(tables))
    handler = box(b"hdlr", bytes(8) + b"soun" + bytes(13))
    media = box(b"mdhd", bytes(12) + struct.pack(">II", 16_000, 16_000) + bytes(4))
    header = box(b"tkhd", b"\0\0\0\7" + bytes(8) + struct.pack(">I", 1) + bytes(64))
    sound = box(b"minf", box(b"smhd", bytes(8)) + data + table)
    whole = box(b"trak", header + box(b"mdia", media + handler + sound))
    start = box(b"mvhd", bytes(12) + struct.pack(">II", 1_000, 1_000) + bytes(80))
    return _FTYP + box(b"moov", start + whole) + box(b"mdat", bytes(4_000))


def _table(kind: bytes, *numbers: int) -> bytes:
    return box(kind, struct.pack(f">I{len(numbers)}I", 0, *numbers))


_ALL = 2**32 - 1
_ONE = (_table(b"stsc", 1, 1, 100, 1), _table(b"stco", 1, 40))


@hostile(Place.CLIP, _SILENT)
def mp4_of_four_billion_samples() -> bytes:
    """Tables that claim an entry for each of four billion samples."""
    times = _table(b"stts", 1, _ALL, 1)
    return track(times, _table(b"stsz", 2, _ALL), *_ONE)


@hostile(Place.CLIP, _DAMAGED)
def mp4_whose_tables_are_not_there() -> bytes:
    """Tables that claim a billion entries and have none."""
    return track(*(_table(kind, 10**9) for kind in (b"stts", b"stsc", b"stco", b"ctts", b"stss")))


@hostile(Place.CLIP, _SILENT)
def mp4_whose_sound_is_another_file() -> bytes:
    """A reference to a file of the machine, from which the samples should come."""
    other = box(b"alis", b"\0\0\0\0" + b"file:///etc/passwd\0" + bytes(150))
    return track(_table(b"stts", 1, 100, 1), _table(b"stsz", 2, 100), *_ONE, reference=other)


@hostile(Place.CLIP, _DAMAGED)
def webm_of_unknown_lengths() -> bytes:
    """Elements of unknown length within each other, a thousand deep."""
    return b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\x01" + b"\xff" * 7 * 1_000


def _names_other_files(place: Place, expected: Expected) -> None:
    """What FFmpeg would follow to other files and hosts, if it were asked what this is."""

    @hostile(place, expected)
    def playlist_of_hls() -> bytes:
        """A playlist that names a file of the machine and one of the network."""
        return b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXTINF:1,\nhttp://169.254.169.254/\n"

    @hostile(place, expected)
    def list_of_ffconcat() -> bytes:
        """A script of FFmpeg that reads a file of the machine."""
        return b"ffconcat version 1.0\nfile /etc/passwd\n"

    @hostile(place, expected)
    def address_of_concat() -> bytes:
        """FFmpeg's way to name several files at once."""
        return b"concat:/etc/passwd|/etc/hostname"


for _place in (Place.CLIP, Place.MUSIC):
    _names_other_files(_place, _NONE)


@hostile(Place.CLIP, _NONE)
def manifest_of_dash() -> bytes:
    """A manifest whose parts lie in the network that the machine is in."""
    return b'<?xml version="1.0"?><MPD><BaseURL>http://169.254.169.254/</BaseURL></MPD>' * 2


@hostile(Place.CLIP, _NONE)
def session_of_sdp() -> bytes:
    """A description after which FFmpeg would listen on a port."""
    return b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n"


@hostile(Place.MUSIC, failed("music-too-long"))
def music_of_half_an_hour() -> bytes:
    """Silence of half an hour in 50 kB."""
    return flac_of_half_an_hour()


@hostile(Place.MUSIC, failed("music-unreadable"))
def music_of_65535_channels() -> bytes:
    """More channels than anybody has ears."""
    return wav_of_65535_channels()


@hostile(Place.MUSIC, Harmless())
def nothing() -> bytes:
    """No byte at all, as browsers send for no choice: then there is no music."""
    return b""
