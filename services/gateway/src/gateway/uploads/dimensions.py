"""The sizes of pictures whose decoders are native code from their first byte on: WebP and AVIF.

Pillow reads the headers of all others in Python, but would start those decoders to look at a
header, here, where requests of others are served and secrets are held. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

_EXTENDED_BYTES = 30
_VP8_START = b"\x9d\x01\x2a"
_VP8L_SIGNATURE = 0x2F
_FOURTEEN_BITS = (1 << 14) - 1
_WAY_TO_EXTENTS = (b"meta", b"iprp", b"ipco")


def webp_size(head: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, or None if the header is not there or not as it should be.

    See https://developers.google.com/speed/webp/docs/riff_container and RFC 6386, 9.1.
    """
    if len(head) < _EXTENDED_BYTES:
        return None
    kind = head[12:16]
    if kind == b"VP8X":
        return 1 + _little(head[24:27]), 1 + _little(head[27:30])
    if kind == b"VP8 " and head[23:26] == _VP8_START:
        return _little(head[26:28]) & _FOURTEEN_BITS, _little(head[28:30]) & _FOURTEEN_BITS
    if kind == b"VP8L" and head[20] == _VP8L_SIGNATURE:
        bits = _little(head[21:25])
        return 1 + (bits & _FOURTEEN_BITS), 1 + (bits >> 14 & _FOURTEEN_BITS)
    return None


def avif_size(head: bytes) -> tuple[int, int] | None:
    """Width and height of the largest picture inside, or None as above.

    The size is an `ispe` property (ISO/IEC 23008-12, 6.5.3) of each item of the file.
    """
    first, end = 0, len(head)
    for kind in _WAY_TO_EXTENTS:
        found = next((place for name, *place in _boxes(head, first, end) if name == kind), None)
        if found is None or found[1] > len(head):
            return None
        # Of these, `meta` alone has a version and flags before its boxes.
        first, end = found[0] + (4 if kind == b"meta" else 0), found[1]
    extents = [
        (_big(head[start + 4 : start + 8]), _big(head[start + 8 : start + 12]))
        for name, start, _ in _boxes(head, first, end)
        if name == b"ispe"
    ]
    return max(extents, key=lambda size: size[0] * size[1], default=None)


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes between two places: name, and where the content begins and ends."""
    while start + 8 <= end:
        size, content = _big(data[start : start + 4]), start + 8
        if size == 1:
            size, content = _big(data[start + 8 : start + 16]), start + 16
        if size < content - start:
            return
        yield data[start + 4 : start + 8], content, start + size
        start += size


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")
