"""A tiny real super-resolution model as an ONNX file, written byte by byte.

The field numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto):
a convolution that looks one pixel around, and the shuffle that makes four pixels of each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_model(path: Path, times: int = 2, *, channels: int = 3, seed: int = 0) -> Path:
    """Write a model that makes pictures `times` as wide and high, and return its path."""
    rng = np.random.default_rng(seed)
    kernel = np.zeros((channels * times**2, channels, 3, 3), np.float32)
    for channel in range(channels):
        near = rng.uniform(0, 0.2, (times**2, 3, 3))
        near[:, 1, 1] = 1
        near /= near.sum(axis=(1, 2), keepdims=True)
        kernel[channel * times**2 : (channel + 1) * times**2, channel] = near
    convolution = _node("Conv", ("small", "kernel"), "wide", _ints("pads", (1, 1, 1, 1)))
    shuffle = _node(
        "DepthToSpace", ("wide",), "large", _int("blocksize", times), _text("mode", "CRD")
    )
    graph = b"".join(
        (
            _field(1, convolution),
            _field(1, shuffle),
            _field(2, b"tiny"),
            _field(5, _tensor("kernel", kernel)),
            _field(11, _picture("small", channels)),
            _field(12, _picture("large", channels)),
        )
    )
    path.write_bytes(_number(1, 8) + _field(7, graph) + _field(8, _number(2, 13)))
    return path


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def _number(tag: int, value: int) -> bytes:
    return _varint(tag << 3) + _varint(value)


def _field(tag: int, value: bytes) -> bytes:
    return _varint(tag << 3 | 2) + _varint(len(value)) + value


def _int(name: str, value: int) -> bytes:
    return _field(1, name.encode()) + _number(3, value) + _number(20, 2)


def _ints(name: str, values: tuple[int, ...]) -> bytes:
    return _field(1, name.encode()) + b"".join(_number(8, one) for one in values) + _number(20, 7)


def _text(name: str, value: str) -> bytes:
    return _field(1, name.encode()) + _field(4, value.encode()) + _number(20, 3)


def _node(kind: str, inputs: tuple[str, ...], output: str, *attributes: bytes) -> bytes:
    named = b"".join(_field(1, name.encode()) for name in inputs)
    told = b"".join(_field(5, attribute) for attribute in attributes)
    return named + _field(2, output.encode()) + _field(4, kind.encode()) + told


def _tensor(name: str, values: np.ndarray) -> bytes:
    sizes = b"".join(_number(1, size) for size in values.shape)
    return sizes + _number(2, 1) + _field(8, name.encode()) + _field(9, values.tobytes())


def _picture(name: str, channels: int) -> bytes:
    sizes = (_number(1, 1), _number(1, channels), _field(2, b"h"), _field(2, b"w"))
    sides = b"".join(_field(1, size) for size in sizes)
    return _field(1, name.encode()) + _field(2, _field(1, _number(1, 1) + _field(2, sides)))
