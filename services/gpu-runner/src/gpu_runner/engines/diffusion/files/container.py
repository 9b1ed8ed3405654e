"""The bytes of a safetensors file, the same for the same content, and the hashes of them.

The library writes a header's entries in another order each time, so a file would have
another sha256 although nothing changed, and no later stage could be spared. Here they are
sorted. Format: https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save

_LENGTH = 8
_LEGACY_FROM, _LEGACY_SIZE, _LEGACY_DIGITS = 0x100000, 0x10000, 8
_NEVER_CHANGED = "ss_"


@dataclass(frozen=True, slots=True)
class Hashes:
    """By what other programs know a LoRA again, whatever its header says later.

    `tensors` is the sha256, 64 hex digits, of all bytes behind the header: ModelSpec's
    `hash_sha256` and sd-scripts' `sshs_model_hash`. `legacy` is sd-scripts'
    `sshs_legacy_hash`: the first eight digits of the sha256 of 64 KiB from the first MiB on,
    of a file with no header entries but `ss_*`.
    """

    tensors: str
    legacy: str


class Container:
    """Tensors in the order and layout in which the library writes them."""

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take the tensors' content as it is now."""
        plain = save({name: tensor.contiguous() for name, tensor in tensors.items()})
        behind = _LENGTH + int.from_bytes(plain[:_LENGTH], "little")
        self._index: dict[str, object] = json.loads(plain[_LENGTH:behind])
        self._content = memoryview(plain)[behind:]

    def head(self, metadata: Mapping[str, str]) -> bytes:
        """What stands before the tensors' bytes: the length, and the header of that length."""
        entries = {"__metadata__": dict(sorted(metadata.items())), **self._index}
        text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % _LENGTH)
        return len(text).to_bytes(_LENGTH, "little") + text

    def write(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Write the file."""
        with path.open("wb") as file:
            file.write(self.head(metadata))
            file.write(self._content)

    def hashes(self, metadata: Mapping[str, str]) -> Hashes:
        """The hashes of a file with these header entries."""
        kept = {name: text for name, text in metadata.items() if name.startswith(_NEVER_CHANGED)}
        head = self.head(kept)
        start = _LEGACY_FROM - len(head)
        window = hashlib.sha256(head[_LEGACY_FROM : _LEGACY_FROM + _LEGACY_SIZE])
        window.update(self._content[max(start, 0) : max(start + _LEGACY_SIZE, 0)])
        return Hashes(
            hashlib.sha256(self._content).hexdigest(), window.hexdigest()[:_LEGACY_DIGITS]
        )
