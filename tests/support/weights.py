"""Small files in the places of a model's weights, as its repository at a hub has them."""

from __future__ import annotations

import random

from gpu_runner.models.manifest import Model

from tests.support.hub import Repository


def repository_of(model: Model, *, seed: int = 0, large: int = 3_000_000) -> Repository:
    """A repository with all files that a model needs, and with some that it does not.

    `large` is the size of its denoiser or decoder in bytes.
    """
    chance = random.Random(seed)
    source = model.source
    assert source is not None
    files = {"README.md": b"# A model card\n", "unwanted.ckpt": b"pickle"}
    for pattern in source.files:
        path = pattern.replace("*", "merges.txt")
        main = path.endswith(".safetensors") and "text_encoder" not in path
        files[path] = chance.randbytes(large if main else 2_000)
    return Repository(source.revision, files, licence=model.licence.hub_name)
