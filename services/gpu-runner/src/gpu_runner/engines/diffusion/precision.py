"""In which number format a base computes while an adapter is trained."""

from __future__ import annotations

import torch

from gpu_runner.engines.diffusion.config import Precision

_NAMED = {
    Precision.FP32: torch.float32,
    Precision.BF16: torch.bfloat16,
    Precision.FP16: torch.float16,
}


def number_format(wanted: Precision, device: torch.device) -> torch.dtype:
    """What is wanted; for auto, half precision on GPUs that compute in it, bfloat16 if they can.

    On CPUs and Apple's GPUs float32: few of them are faster in anything else.
    """
    if wanted is not Precision.AUTO:
        return _NAMED[wanted]
    if device.type != "cuda":
        return torch.float32
    able = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if able else torch.float16
