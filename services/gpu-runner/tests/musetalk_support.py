"""MuseTalk's three networks, tiny and of random weights, laid out as its authors lay them out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from plugin_support import ROOT
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

MUSETALK = ROOT / "plugins" / "musetalk"
WIDTH, LAYERS = 16, 2


def install_musetalk(folder: Path) -> Path:
    """A copy of the plug-in with weights."""
    plugin = shutil.copytree(MUSETALK, folder)
    torch.manual_seed(0)
    weights = plugin / "weights"
    unet = UNet2DConditionModel(
        sample_size=32,
        in_channels=8,
        out_channels=4,
        block_out_channels=(16, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        cross_attention_dim=WIDTH,
        norm_num_groups=8,
    )
    (weights / "musetalkV15").mkdir(parents=True)
    (weights / "musetalkV15" / "musetalk.json").write_text(json.dumps(dict(unet.config)))
    torch.save(unet.state_dict(), weights / "musetalkV15" / "unet.pth")
    AutoencoderKL(
        block_out_channels=(8,) * 4,
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    ).save_pretrained(weights / "sd-vae")
    WhisperModel(
        WhisperConfig(
            vocab_size=64,
            d_model=WIDTH,
            encoder_layers=LAYERS,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=WIDTH,
            decoder_ffn_dim=WIDTH,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=1,
            suppress_tokens=[],
            begin_suppress_tokens=[],
        )
    ).save_pretrained(weights / "whisper")
    WhisperFeatureExtractor().save_pretrained(weights / "whisper")
    return plugin
