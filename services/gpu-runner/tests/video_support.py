"""Tiny image-to-video models of random weights, and a portrait that moves for certain."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import sentencepiece
import torch
from diffusers import (
    AutoencoderKLLTXVideo,
    AutoencoderKLTemporalDecoder,
    AutoencoderKLWan,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LTXImageToVideoPipeline,
    LTXVideoTransformer3DModel,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
    WanImageToVideoPipeline,
    WanTransformer3DModel,
)
from mini_support import LETTERS
from numpy.typing import NDArray
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
    UMT5Config,
    UMT5EncoderModel,
)

TOKENS = ["<pad>", "</s>", "<unk>", *(f"▁{one}" for one in LETTERS), *LETTERS]


def write_svd(directory: Path) -> Path:
    torch.manual_seed(0)
    pipeline = StableVideoDiffusionPipeline(
        vae=AutoencoderKLTemporalDecoder(
            block_out_channels=(32,) * 4,
            down_block_types=("DownEncoderBlock2D",) * 4,
            latent_channels=4,
            layers_per_block=1,
        ),
        unet=UNetSpatioTemporalConditionModel(
            block_out_channels=(32, 32),
            layers_per_block=1,
            sample_size=8,
            in_channels=8,
            out_channels=4,
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
            cross_attention_dim=32,
            num_attention_heads=4,
            projection_class_embeddings_input_dim=96,
            addition_time_embed_dim=32,
        ),
        image_encoder=CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=32,
                projection_dim=32,
                num_hidden_layers=1,
                num_attention_heads=2,
                image_size=224,
                intermediate_size=32,
                patch_size=32,
            )
        ),
        feature_extractor=CLIPImageProcessor(),
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            prediction_type="v_prediction",
            sigma_max=700.0,
            sigma_min=0.002,
            timestep_type="continuous",
            use_karras_sigmas=True,
        ),
    )
    pipeline.save_pretrained(directory)
    return directory


def write_wan(directory: Path) -> Path:
    """As Wan 2.2 of 5 billion weights: the first picture is given as the first latents."""
    torch.manual_seed(0)
    pipeline = WanImageToVideoPipeline(
        vae=AutoencoderKLWan(
            base_dim=4,
            z_dim=16,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
        ),
        transformer=WanTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=16,
            out_channels=16,
            text_dim=32,
            freq_dim=32,
            ffn_dim=32,
            num_layers=1,
            cross_attn_norm=True,
            qk_norm="rms_norm_across_heads",
            rope_max_seq_len=32,
        ),
        text_encoder=UMT5EncoderModel(
            UMT5Config(
                vocab_size=len(TOKENS), d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=4
            )
        ),
        tokenizer=_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=5.0),
        expand_timesteps=True,
    )
    pipeline.save_pretrained(directory)
    return directory


def write_ltx(directory: Path) -> Path:
    torch.manual_seed(0)
    pipeline = LTXImageToVideoPipeline(
        vae=AutoencoderKLLTXVideo(
            latent_channels=8,
            block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            layers_per_block=(1, 1, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 1, 1, 1),
            spatio_temporal_scaling=(True, True, True, False),
            decoder_spatio_temporal_scaling=(True, True, True, False),
            timestep_conditioning=False,
            patch_size=4,
            patch_size_t=1,
        ),
        transformer=LTXVideoTransformer3DModel(
            in_channels=8,
            out_channels=8,
            num_attention_heads=4,
            attention_head_dim=8,
            cross_attention_dim=32,
            num_layers=1,
            caption_channels=32,
        ),
        text_encoder=T5EncoderModel(
            T5Config(vocab_size=len(TOKENS), d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=4)
        ),
        tokenizer=_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )
    pipeline.save_pretrained(directory)
    return directory


def tokenize_as_published(directory: Path) -> None:
    """Leave of the tokenizer what LTX-Video is published with: a SentencePiece model alone."""
    words = ["rain falls", "a desert at noon", "hair moves in a light breeze"]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(words),
        model_writer=model,
        vocab_size=len(TOKENS),
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    folder = directory / "tokenizer"
    (folder / "tokenizer.json").unlink()
    (folder / "spiece.model").write_bytes(model.getvalue())


def _tokenizer() -> T5Tokenizer:
    return T5Tokenizer(vocab=[(token, -1.0) for token in TOKENS], extra_ids=0)


def swaying(portrait: NDArray[np.uint8], count: int) -> list[NDArray[np.uint8]]:
    """A portrait that comes nearer, moves to the side and tilts."""
    height, width = portrait.shape[:2]
    pictures = []
    for at in np.linspace(0, 1, count):
        move = cv2.getRotationMatrix2D((width / 2, height / 2), 8 * at, 1 + 0.08 * at)
        move[:, 2] += (0.06 * width * at, 0.02 * height * at)
        moved = cv2.warpAffine(
            portrait, move, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        pictures.append(np.asarray(moved, dtype=np.uint8))
    return pictures
