"""How the libraries of XTTS come together on any machine."""

import os
import sys
import types
import warnings


def prepare():
    """To be called before anything else is imported.

    torchaudio from PyPI is built for CUDA, and does not import without it. What XTTS uses of it
    (resampling, mel spectrograms) is Python on top of PyTorch, so its compiled part is left out.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    extension = types.ModuleType("torchaudio._extension")
    extension._IS_TORCHAUDIO_EXT_AVAILABLE = False  # noqa: SLF001 - the name that it looks for
    extension.fail_if_no_align = _without
    sys.modules["torchaudio._extension"] = extension
    warnings.filterwarnings("ignore", module="(TTS|torch|torchaudio|transformers|librosa|jieba)")


def _without(_function):
    def refuse(*_words, **_named):
        raise NotImplementedError("torchaudio is used without its compiled part")

    return refuse
