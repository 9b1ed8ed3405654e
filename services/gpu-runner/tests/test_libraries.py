"""What a diffusion stage loads, in a process of its own as a stage has."""

from __future__ import annotations

import subprocess
import sys

SEE = """
import gc, sys
import gpu_runner.engines.diffusion.stages
import torch
from peft import LoraConfig, inject_adapter_in_model
layer = torch.nn.Sequential(torch.nn.Linear(4, 4))
inject_adapter_in_model(LoraConfig(target_modules=["0"]), layer)
assert gc.isenabled()
unused = ("scipy", "boto3", "jinja2", "sympy", "torch.distributed.tensor")
for name in (*unused, "torch._dynamo.convert_frame"):
    assert name not in sys.modules, name
assert "diffusers.models.transformers.transformer_flux" not in sys.modules
import scipy
from diffusers.models.transformers import FluxTransformer2DModel
from diffusers import StableDiffusionPipeline, UNet2DConditionModel, UNet2DModel
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item() == 2
assert "torch._dynamo.convert_frame" in sys.modules
from torch.distributed.tensor import DTensor
from transformers import T5EncoderModel, CLIPVisionModelWithProjection, GenerationMixin
import transformers.distributed.mixin, transformers.distributed.fsdp
from accelerate import Accelerator
Accelerator(cpu=True)
assert UNet2DConditionModel is sys.modules["diffusers.models.unets"].UNet2DConditionModel
"""


def test_what_is_not_used_is_not_loaded_and_can_be_loaded_afterwards() -> None:
    seen = subprocess.run([sys.executable, "-c", SEE], check=False, capture_output=True, text=True)
    assert seen.returncode == 0, seen.stderr
