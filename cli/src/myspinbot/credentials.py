"""Content Credentials as they are found in a file: who signed it, what it says, is it untouched."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import c2pa
from contracts.provenance import GENERATION, Generation
from pydantic import ValidationError

from myspinbot.errors import MISUSED, CommandError

_UNTRUSTED = "signingCredential.untrusted"
_ELSEWHERE = "Remote: "
# A stranger's file may name an address at which its credentials or a revocation are to be had; who
# looks at it shall not be known there.
_VERIFY = {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False}


class State(StrEnum):
    """What is known of a file."""

    GENUINE = "genuine"
    """It is as it was signed, by an installation that is trusted."""

    UNKNOWN_SIGNER = "unknown-signer"
    """It is as it was signed, but nobody that is trusted did."""

    ALTERED = "altered"
    """It was changed after it had been signed, or its credentials were."""

    NONE = "none"
    """It carries no credentials in itself, or they were taken away."""

    UNREADABLE = "unreadable"
    """It is damaged, so nothing can be said of it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a file tells of itself. Believe it only if the state is genuine."""

    state: State
    signer: str | None = None
    source_type: str | None = None
    made: Generation | None = None
    problems: tuple[str, ...] = ()


def look(path: Path, anchors: Iterable[str]) -> Found:
    """Read the credentials in a file; `anchors` are certificates in PEM that are trusted.

    Nothing is fetched from anywhere.

    Raises:
        CommandError: it is not there, or a kind of file that carries none.
        OSError: it cannot be opened.

    """
    if not path.is_file():
        raise CommandError(f"There is no file {path}.", "Look at the name.", MISUSED)
    path.open("rb").close()
    try:
        trusted = "\n".join(anchors)
        wanted: dict[str, Any] = {"verify": _VERIFY}
        # An empty list would not be one that trusts nobody, but an error.
        if trusted:
            wanted["trust"] = {"user_anchors": trusted}
        settings = c2pa.Settings.from_dict(wanted)
        with (
            settings,
            c2pa.Context(settings=settings) as context,
            c2pa.Reader(str(path), context=context) as reader,
        ):
            return _found(json.loads(reader.json()))
    except c2pa.C2paError.ManifestNotFound:
        return Found(State.NONE)
    except c2pa.C2paError.NotSupported as error:
        raise CommandError(
            f"{path} is no picture, sound or video that can carry Content Credentials.",
            "Name a PNG, JPEG, WebP, WAV or MP4 file.",
            MISUSED,
        ) from error
    except c2pa.C2paError as error:
        # The library has no class of its own for it.
        if str(error).startswith(_ELSEWHERE):
            return Found(State.NONE)
        return Found(State.UNREADABLE, problems=(str(error),))


def _found(store: dict[str, Any]) -> Found:
    manifest = store["manifests"][store["active_manifest"]]
    codes = [status["code"] for status in store.get("validation_status", ())]
    wrong = tuple(code for code in codes if code != _UNTRUSTED)
    state = State.ALTERED if wrong else State.UNKNOWN_SIGNER if codes else State.GENUINE
    signature = manifest.get("signature_info", {})
    said = {each["label"]: each.get("data", {}) for each in manifest.get("assertions", ())}
    actions: dict[str, Any] = next(
        (data for label, data in said.items() if label.startswith("c2pa.actions")), {}
    )
    kinds = (action.get("digitalSourceType") for action in actions.get("actions", ()))
    source_type = next(filter(None, kinds), None)
    return Found(
        state,
        signer=signature.get("common_name"),
        source_type=str(source_type).rsplit("/", 1)[-1] if source_type else None,
        made=_made(said.get(GENERATION)),
        problems=wrong,
    )


def _made(said: Any) -> Generation | None:
    try:
        return Generation.model_validate(said)
    except ValidationError:
        return None
