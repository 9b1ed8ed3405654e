"""Bases that an operator was talked into: headers that lie, and files that run when they open."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path

from tests.security.corpus.inputs import Place, failed, hostile

_PICKLED = failed("base-pickled")
_UNREADABLE = failed("base-unreadable")
_HALF = failed("base-incomplete")


class _Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


def _pickle(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(_Runs(path.parent / "ran")))
    return path


def _tensors(path: Path, header: bytes, data: bytes = b"", said: int | None = None) -> Path:
    size = len(header) if said is None else said
    path.write_bytes(struct.pack("<Q", size) + header + data)
    return path


def _one(name: str, start: int, end: int, shape: list[int]) -> dict[str, object]:
    return {name: {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}}


def _directory(folder: Path, **more: Mapping[str, object]) -> Path:
    """A directory of diffusers without any weights."""
    parts = ("scheduler", "text_encoder", "tokenizer", "unet", "vae")
    for part in parts:
        (folder / part).mkdir(parents=True)
        (folder / part / "config.json").write_text(json.dumps({"a": 1} | more.get(part, {})))
    index = {"_class_name": "StableDiffusionPipeline"}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def _weighted(folder: Path) -> Path:
    """The same with weights, each of one number."""
    for part in ("text_encoder", "unet", "vae"):
        header = json.dumps(_one("a", 0, 4, [1])).encode()
        _tensors(folder / part / "model.safetensors", header, bytes(4))
    return folder


@hostile(Place.WEIGHTS, _PICKLED)
def pickle_of_a_checkpoint(folder: Path) -> Path:
    """A checkpoint that runs a program when it is opened."""
    return _pickle(folder / "base.ckpt")


@hostile(Place.WEIGHTS, _PICKLED)
def pickle_within_a_directory(folder: Path) -> Path:
    """A directory whose denoiser is pickled."""
    base = _directory(folder / "base")
    _pickle(base / "unet" / "diffusion_pytorch_model.bin")
    _pickle(base / "text_encoder" / "pytorch_model.bin")
    _pickle(base / "vae" / "diffusion_pytorch_model.bin")
    return base


@hostile(Place.WEIGHTS, _UNREADABLE)
def pickle_that_says_to_be_safe(folder: Path) -> Path:
    """A pickle whose name is that of safe weights."""
    return _pickle(folder / "base.safetensors")


@hostile(Place.WEIGHTS, _UNREADABLE)
def header_of_exabytes(folder: Path) -> Path:
    """A header that is longer than all memory."""
    return _tensors(folder / "base.safetensors", b"{}", said=2**63)


@hostile(Place.WEIGHTS, _UNREADABLE)
def header_of_a_hundred_megabytes(folder: Path) -> Path:
    """A header that is there, and holds nothing but room."""
    return _tensors(folder / "base.safetensors", b"{" + b" " * (101 << 20) + b"}")


@hostile(Place.WEIGHTS, _UNREADABLE)
def header_of_brackets(folder: Path) -> Path:
    """A header that is deeper than a parser's stack."""
    return _tensors(folder / "base.safetensors", b"[" * 200_000)


@hostile(Place.WEIGHTS, _UNREADABLE)
def tensors_over_each_other(folder: Path) -> Path:
    """Two tensors that claim the same bytes."""
    header = json.dumps(_one("a", 0, 8, [2]) | _one("b", 4, 12, [2])).encode()
    return _tensors(folder / "base.safetensors", header, bytes(12))


@hostile(Place.WEIGHTS, _UNREADABLE)
def tensor_beyond_the_end(folder: Path) -> Path:
    """A tensor of a terabyte in a file of a few bytes."""
    header = json.dumps(_one("a", 0, 2**40, [2**38])).encode()
    return _tensors(folder / "base.safetensors", header, bytes(12))


@hostile(Place.WEIGHTS, _UNREADABLE)
def tensor_whose_shape_overflows(folder: Path) -> Path:
    """Sides whose product is more than 64 bits hold."""
    header = json.dumps(_one("a", 0, 4, [2**33, 2**33])).encode()
    return _tensors(folder / "base.safetensors", header, bytes(4))


@hostile(Place.WEIGHTS, _HALF)
def index_that_names_files_elsewhere(folder: Path) -> Path:
    """A list of parts that lie outside of the directory."""
    base = _weighted(_directory(folder / "base"))
    listed = {"weight_map": {"a": "../../../../etc/passwd"}}
    (base / "unet" / "model.safetensors.index.json").write_text(json.dumps(listed))
    return base


@hostile(Place.WEIGHTS, failed("base-of-another-family"))
def directory_with_code_of_its_own(folder: Path) -> Path:
    """A directory that wants its own program to be run."""
    base = _weighted(_directory(folder / "base"))
    index = {"_class_name": "Mine", "auto_map": {"AutoModel": "mine.Mine"}}
    (base / "model_index.json").write_text(json.dumps(index))
    (base / "mine.py").write_text("import pathlib; pathlib.Path('ran').mkdir()")
    return base


@hostile(Place.WEIGHTS, _UNREADABLE)
def description_of_brackets(folder: Path) -> Path:
    """A directory whose description is deeper than a parser's stack."""
    base = _weighted(_directory(folder / "base"))
    (base / "model_index.json").write_text("[" * 200_000)
    return base


@hostile(Place.WEIGHTS, failed("weights-absent"))
def device_of_the_machine(folder: Path) -> Path:
    """A link to a file without end."""
    (folder / "base.safetensors").symlink_to("/dev/zero")
    return folder / "base.safetensors"
