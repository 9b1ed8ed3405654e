"""Content Credentials: each generated file says what it is and which job made it, signed.

A manifest by the C2PA's specification (2.2) is put into the file itself: a claim that the file
was created by software, of what sort (IPTC's digital source types), and by which stage of which
job. It holds a hash of all the rest, so whoever edits the file breaks it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from contracts.provenance import GENERATION, GENERATOR, MEDIA_TYPES, Generation

from gpu_runner.stage import StageError

_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_GENERATED = f"{_SOURCE_TYPES}trainedAlgorithmicMedia"
# A portrait of which much may be a photograph, and a generated voice.
_COMPOSED = f"{_SOURCE_TYPES}compositeWithTrainedAlgorithmicMedia"
_SOURCE_TYPE_OF = {"render_video": _COMPOSED, "upscale": _COMPOSED}
_TAKES_APART = frozenset({"prepare_dataset"})
"""Kinds of stages that only cut and clean what a person sent: nothing of it is generated."""

_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----\n?", re.DOTALL)


class UnusableCredentialsError(Exception):
    """The file of the installation's key holds no key and certificate."""


@dataclass(frozen=True, slots=True)
class Identity:
    """By what an installation signs: its key and its certificate, as PEM."""

    key: str
    certificate: str

    @staticmethod
    def read(path: Path) -> Identity:
        """Raises UnusableCredentialsError if the file cannot be read, or lacks either of them."""
        try:
            blocks = list(_BLOCK.finditer(path.read_text()))
        except (OSError, UnicodeDecodeError) as error:
            raise UnusableCredentialsError(f"{path} cannot be read: {error}") from error
        keys = [block[0] for block in blocks if block[1].endswith("PRIVATE KEY")]
        certificates = [block[0] for block in blocks if block[1] == "CERTIFICATE"]
        if len(keys) != 1 or not certificates:
            raise UnusableCredentialsError(
                f"{path} must hold one private key and its certificate as PEM; "
                "move it away, and the next start makes a new one"
            )
        return Identity(keys[0], certificates[0])


@dataclass(frozen=True, slots=True)
class Signing:
    """Puts credentials into the files of one stage."""

    identity: Path
    made: Generation

    def sign(self, path: Path) -> None:
        """Put credentials into a file, if it is a kind that carries them, in its place.

        Raises:
            StageError: `credentials-unusable`.

        """
        media_type = MEDIA_TYPES.get(path.suffix)
        if media_type is None or self.made.kind in _TAKES_APART:
            return
        import c2pa

        signed = path.with_name(f".{path.name}.signed")
        try:
            identity = Identity.read(self.identity)
            info = c2pa.C2paSignerInfo(
                c2pa.C2paSigningAlg.ES256,
                identity.certificate.encode(),
                identity.key.encode(),
                None,
            )
            with (
                c2pa.Settings.from_dict(_SETTINGS) as settings,
                c2pa.Context(settings=settings) as context,
                c2pa.Signer.from_info(info) as signer,
                c2pa.Builder(json.dumps(self._manifest(path.name)), context=context) as builder,
                path.open("rb") as source,
                signed.open("w+b") as target,
            ):
                builder.sign(signer, media_type, source, target)
            signed.replace(path)
        except (c2pa.C2paError, UnusableCredentialsError) as error:
            raise StageError(
                "credentials-unusable",
                f"what was made could not be signed ({type(error).__name__})",
                "See the runner's log, and look at the file named by MYSPINBOT_CREDENTIALS",
            ) from error
        finally:
            signed.unlink(missing_ok=True)

    def _manifest(self, title: str) -> dict[str, object]:
        agent = {"name": GENERATOR, "version": version("myspinbot-gpu-runner")}
        created = {
            "action": "c2pa.created",
            "softwareAgent": agent,
            "digitalSourceType": _SOURCE_TYPE_OF.get(self.made.kind, _GENERATED),
        }
        return {
            "claim_generator_info": [agent],
            "title": title,
            "assertions": [
                {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
                {
                    "label": GENERATION,
                    "data": self.made.model_dump(mode="json", by_alias=True),
                },
            ],
        }


# A picture of the file in its own credentials would show a face a second time.
_SETTINGS = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"verify_after_sign": False},
}
