"""What is asked of a hub, through huggingface_hub: the files of a revision, and their bytes.

The library says where the hub is (`HF_ENDPOINT`), who asks (`HF_TOKEN` or its login), and how long
it waits (`HF_HUB_DOWNLOAD_TIMEOUT`). Its own download begins large files anew when it was killed,
so the bytes are read here from where the last try ended.
See https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_stream_backoff

from gpu_runner.models.digest import Digest
from gpu_runner.models.errors import Fault, ModelError
from gpu_runner.models.lock import inside
from gpu_runner.models.manifest import Source

_PARTIAL_CONTENT = 206


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a revision as the hub tells of it."""

    path: str
    size_bytes: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Offer:
    """What a hub has of a source: the files that are needed, at a commit."""

    endpoint: str
    repository: str
    revision: str
    licence: str | None
    files: tuple[HubFile, ...]

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub, and how patient to be with it.

    Each answer may take `timeout_s`; a hub that does not answer is asked `tries` times again,
    after `wait_s` at first, and twice as long each time.
    """

    endpoint: str = constants.ENDPOINT
    timeout_s: float = constants.HF_HUB_DOWNLOAD_TIMEOUT
    tries: int = 5
    wait_s: float = 1.0

    def ask(self, source: Source, revision: str) -> Offer:
        """What the hub has of a source at a revision; no weights are moved.

        Raises:
            ModelError: the hub is away or refuses; the repository is not what the source says.

        """
        with _told(self.endpoint, source.repository):
            info = HfApi(endpoint=self.endpoint).model_info(
                source.repository, revision=revision, files_metadata=True, timeout=self.timeout_s
            )
        return _offer(self.endpoint, source, revision, info)

    @contextlib.contextmanager
    def stream(
        self, offer: Offer, file: HubFile, start: int
    ) -> Iterator[tuple[int, Iterator[bytes]]]:
        """A file's content from byte `start`, or from 0 if the hub knows no ranges; and which.

        Raises:
            ModelError: the hub is away or refuses.
            ConnectionError: the connection broke while it was read.

        """
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        url = hf_hub_url(
            offer.repository, file.path, revision=offer.revision, endpoint=self.endpoint
        )
        with (
            _told(self.endpoint, offer.repository),
            http_stream_backoff(
                "GET",
                url,
                headers=headers,
                timeout=self.timeout_s,
                max_retries=self.tries,
                base_wait_time=self.wait_s,
            ) as response,
        ):
            hf_raise_for_status(response)
            first = start if response.status_code == _PARTIAL_CONTENT else 0
            yield first, _chunks(response)


def _offer(endpoint: str, source: Source, revision: str, info: ModelInfo) -> Offer:
    there = {each.rfilename: each for each in info.siblings or ()}
    for pattern in source.files:
        if not any(fnmatchcase(path, pattern) for path in there):
            raise ModelError(
                f"the repository {source.repository} has no {pattern} at revision {revision}",
                "Leave out --revision: the one that is known has all files",
                Fault.ABSENT,
            )
    patterns = (*source.files, *source.also)
    wanted = (each for path, each in there.items() if any(fnmatchcase(path, p) for p in patterns))
    # Small ones first: a refusal then costs no time.
    files = sorted(map(_file, wanted), key=lambda file: (file.size_bytes, file.path))
    card = info.card_data
    return Offer(
        endpoint=endpoint,
        repository=source.repository,
        revision=info.sha or revision,
        licence=str(card.license) if card and card.license else None,
        files=tuple(files),
    )


def _file(told: RepoSibling) -> HubFile:
    try:
        path = inside(told.rfilename)
    except ValueError as error:
        raise ModelError(f"the hub offers a file outside: {error}", "Use another hub") from error
    if told.lfs is not None:
        return HubFile(path, told.lfs.size, Digest("sha256", told.lfs.sha256))
    if told.size is None or told.blob_id is None:
        raise ModelError(
            f"the hub tells no size and checksum of {path}", "Use a hub that does: see HF_ENDPOINT"
        )
    return HubFile(path, told.size, Digest("git", told.blob_id))


def _chunks(response: httpx2.Response) -> Iterator[bytes]:
    try:
        # As it arrives: what waits for a chunk to fill is lost when the connection breaks.
        yield from response.iter_bytes()
    except httpx2.TransportError as error:
        raise ConnectionError(str(error) or type(error).__name__) from error


@contextlib.contextmanager
def _told(endpoint: str, repository: str) -> Iterator[None]:
    """What the hub's library raises, in words that say what to do."""
    page = f"{endpoint}/{repository}"
    login = "log in with `hf auth login` or set HF_TOKEN"
    try:
        yield
    except GatedRepoError as error:
        raise ModelError(
            f"the hub gives {repository} only to those who agreed to its terms there",
            f"Agree at {page}, then {login}",
            Fault.FORBIDDEN,
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(
            f"the repository {repository} has no such revision", f"{page} lists them", Fault.ABSENT
        ) from error
    except RepositoryNotFoundError as error:
        hidden = error.response.status_code in (401, 403)
        raise ModelError(
            f"the hub at {endpoint} has no {repository}" + ", or hides it from you" * hidden,
            f"Check HF_ENDPOINT; if the repository is private, {login}",
            Fault.FORBIDDEN if hidden else Fault.ABSENT,
        ) from error
    except HfHubHTTPError as error:
        raise _refused(error, endpoint, login) from error
    except OfflineModeIsEnabled as error:
        raise ModelError(
            "this machine is told to ask no hub", "Unset HF_HUB_OFFLINE", Fault.AWAY
        ) from error
    except httpx2.TransportError as error:
        slow = isinstance(error, httpx2.TimeoutException)
        raise ModelError(
            f"the hub at {endpoint} " + ("does not answer in time" if slow else "is away"),
            "Check the network, the proxy and HF_ENDPOINT, then try again: what came is kept"
            + "; HF_HUB_DOWNLOAD_TIMEOUT sets how many seconds to wait" * slow,
            Fault.AWAY,
        ) from error


def _refused(error: HfHubHTTPError, endpoint: str, login: str) -> ModelError:
    status = error.response.status_code
    if status in (401, 403):
        return ModelError(
            f"the hub at {endpoint} refuses ({status})",
            f"Give a token that may read the model: {login}",
            Fault.FORBIDDEN,
        )
    busy = status == 429 or status >= 500
    return ModelError(
        f"the hub at {endpoint} answers {status}",
        "Try again later: what came is kept" if busy else "Check HF_ENDPOINT",
        Fault.AWAY if busy else Fault.REFUSED,
    )
