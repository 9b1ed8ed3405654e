"""Moves a stage's files between the object store and the scratch disk."""

from __future__ import annotations

import secrets
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from contracts.artifacts import Artifact, Artifacts
from servicekit.objects import ObjectStore

_MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".mp4": "video/mp4",
    ".json": "application/json",
    ".vtt": "text/vtt",
    ".srt": "application/x-subrip",
    ".txt": "text/plain",
    ".tar": "application/x-tar",
    ".safetensors": "application/x-safetensors",
}


def media_type(path: Path) -> str:
    """The media type of a file that an engine wrote, by its ending."""
    return _MEDIA_TYPES.get(path.suffix, "application/octet-stream")


class Transfer:
    """The files of one attempt."""

    def __init__(self, store: ObjectStore, job: str, stage: str, attempt: int) -> None:
        self._store = store
        # Random, so that a key cannot be guessed from a job's id and late workers never collide.
        self._prefix = f"jobs/{job}/{stage}/{attempt}-{secrets.token_hex(8)}"

    async def fetch(self, inputs: Artifacts, folder: Path) -> dict[str, list[Path]]:
        """All inputs as files, checked against their hashes."""
        fetched: dict[str, list[Path]] = {}
        for name, artifacts in inputs.items():
            fetched[name] = []
            for index, artifact in enumerate(artifacts):
                suffix = PurePosixPath(artifact.key).suffix
                path = folder / name / f"{index:03}{suffix}"
                await self._store.get_file(artifact, path)
                fetched[name].append(path)
        return fetched

    async def put(self, path: Path, place: str) -> Artifact:
        """One file, under a key of this attempt."""
        return await self._store.put_file(f"{self._prefix}/{place}", path, media_type(path))

    async def put_outputs(self, outputs: Mapping[str, Sequence[Path]]) -> Artifacts:
        """All outputs of a stage."""
        return {
            name: tuple([await self.put(path, f"{name}/{path.name}") for path in paths])
            for name, paths in outputs.items()
        }

    async def put_checkpoint(self, directory: Path, step: int) -> Artifact:
        """A checkpoint's folder as one object."""
        archive = directory.with_suffix(".tar")
        try:
            with tarfile.open(archive, "w") as tar:
                tar.add(directory, arcname=".")
            return await self.put(archive, f"checkpoint/{step}.tar")
        finally:
            archive.unlink(missing_ok=True)

    async def fetch_checkpoint(self, artifact: Artifact, folder: Path) -> Path:
        """A checkpoint as the folder that it was."""
        archive = folder / "checkpoint.tar"
        await self._store.get_file(artifact, archive)
        target = folder / "checkpoint"
        with tarfile.open(archive) as tar:
            tar.extractall(target, filter="data")
        archive.unlink()
        return target
