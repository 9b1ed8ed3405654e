"""A LoRA's file: its names, its header, its hashes, and whether other programs draw the same."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from gpu_runner.engines.diffusion import lora
from gpu_runner.engines.diffusion.files.adapter import Adapter, collect
from gpu_runner.engines.diffusion.files.container import Container
from gpu_runner.engines.diffusion.files.header import MINI, SDXL, Card, Description, Training
from gpu_runner.engines.diffusion.files.kohya import SD, from_kohya, is_kohya, to_kohya
from gpu_runner.engines.diffusion.files.kohya import SDXL as SDXL_NAMES
from hypothesis import given, settings
from hypothesis import strategies as st
from mini_support import write_random_base
from peft import LoraConfig
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"]
RESIDUAL = ["conv1", "conv2", "conv_shortcut", "time_emb_proj"]
AROUND = [
    "conv_in", "conv_out", "conv", "time_embedding.linear_1", "time_embedding.linear_2",
    "add_embedding.linear_1", "add_embedding.linear_2",
]  # fmt: skip
TEXT = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]


def train_a_little(model: Any, targets: list[str], **options: Any) -> None:
    """An adapter with numbers in it, as if it had been trained."""
    model.add_adapter(LoraConfig(target_modules=targets, **options), adapter_name="default")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                parameter.normal_(std=0.2)
            elif "magnitude" in name:
                parameter.mul_(1.1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_base(tmp_path_factory.mktemp("base"))


def pipeline_of(base: Path) -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline.from_pretrained(base, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(pipeline: StableDiffusionPipeline) -> np.ndarray:
    torch.manual_seed(3)
    return pipeline("a b", num_inference_steps=3, output_type="np").images


def adapter_on(base: Path, *, dora: bool = False, alpha: int = 8) -> Adapter:
    pipeline = pipeline_of(base)
    torch.manual_seed(1)
    train_a_little(pipeline.unet, ATTENTION + RESIDUAL, r=4, lora_alpha=alpha, use_dora=dora)
    train_a_little(pipeline.text_encoder, TEXT, r=4, lora_alpha=alpha, use_dora=dora)
    return collect({"unet": pipeline.unet, "text_encoder": pipeline.text_encoder}, "default")


@pytest.mark.parametrize("alpha", [4, 2])
def test_plain_diffusers_draws_the_same_from_both_names(
    base: Path, tmp_path: Path, alpha: int
) -> None:
    adapter = adapter_on(base, alpha=alpha)
    ours, kohyas = tmp_path / "ours.safetensors", tmp_path / "kohya.safetensors"
    adapter.write(ours, card())
    adapter.write_kohya(kohyas, card())
    pictures = [draw(pipeline_of(base))]
    for path in (ours, kohyas):
        pipeline = pipeline_of(base)
        pipeline.load_lora_weights(path)
        assert set(pipeline.get_list_adapters()) == {"unet", "text_encoder"}
        pictures.append(draw(pipeline))
    assert np.array_equal(pictures[1], pictures[2])
    assert np.abs(pictures[0] - pictures[1]).max() > 0.01


def test_a_decomposed_lora_loads_in_plain_diffusers_from_its_own_names(
    base: Path, tmp_path: Path
) -> None:
    adapter = adapter_on(base, dora=True)
    adapter.write(tmp_path / "dora.safetensors")
    pipeline = pipeline_of(base)
    pipeline.load_lora_weights(tmp_path / "dora.safetensors")
    loaded = collect({"unet": pipeline.unet, "text_encoder": pipeline.text_encoder}, "default_0")
    check_same(adapter.tensors, loaded.tensors)
    assert adapter.alphas == loaded.alphas


@pytest.mark.parametrize("dora", [False, True])
def test_names_of_stable_diffusion_come_back_exactly(base: Path, *, dora: bool) -> None:
    pipeline = pipeline_of(base)
    text = [f"text_model.{name}" for name, _ in pipeline.text_encoder.named_modules() if name]
    modules = [f"text_encoder.{name}" for name in text]
    modules += [f"unet.{name}" for name, _ in pipeline.unet.named_modules() if name]
    adapter = adapter_on(base, dora=dora)
    renamed = to_kohya(adapter.tensors, adapter.alphas, SD)
    assert is_kohya(renamed)
    state, alphas = from_kohya(renamed, modules, SD)
    check_same(adapter.tensors, state)
    assert alphas == adapter.alphas
    if dora:
        scale = "lora_unet_down_blocks_0_resnets_0_conv1.dora_scale"
        assert renamed[scale].shape == (32, 1, 1, 1)
        scale = "lora_te_text_model_encoder_layers_0_mlp_fc1.dora_scale"
        assert renamed[scale].shape == (32, 1)


def sdxl_models() -> dict[str, Any]:
    """All module names of SDXL's UNet and text encoders, at a thousandth of their width."""
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16, 16),
        norm_num_groups=4,
        layers_per_block=2,
        attention_head_dim=(1, 2, 2),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=56,
        cross_attention_dim=16,
    )
    config = CLIPTextConfig(
        vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=2,
        num_attention_heads=2, projection_dim=8, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    return {
        "unet": unet,
        "text_encoder": CLIPTextModel(config),
        "text_encoder_2": CLIPTextModelWithProjection(config),
    }


def test_names_of_sdxl_are_those_of_its_own_code_and_come_back_exactly() -> None:
    models = sdxl_models()
    modules = [
        f"{model}.{name}" for model, one in models.items() for name, _ in one.named_modules()
    ]
    modules = [name.replace("text_encoder.", "text_encoder.text_model.") for name in modules]
    train_a_little(models["unet"], ATTENTION + RESIDUAL + AROUND, r=2, lora_alpha=1, use_dora=True)
    for encoder in ("text_encoder", "text_encoder_2"):
        train_a_little(models[encoder], TEXT, r=2, lora_alpha=3)
    adapter = collect(models, "default")
    renamed = to_kohya(adapter.tensors, adapter.alphas, SDXL_NAMES)
    state, alphas = from_kohya(renamed, modules, SDXL_NAMES)
    check_same(adapter.tensors, state)
    assert alphas == adapter.alphas
    # As they stand in LoRAs that sd-scripts made for SDXL.
    stems = {name.partition(".")[0] for name in renamed}
    assert stems >= {
        "lora_unet_input_blocks_0_0",
        "lora_unet_input_blocks_1_0_in_layers_2",
        "lora_unet_input_blocks_3_0_op",
        "lora_unet_input_blocks_4_0_skip_connection",
        "lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_out_0",
        "lora_unet_input_blocks_8_1_transformer_blocks_9_ff_net_0_proj",
        "lora_unet_middle_block_0_emb_layers_1",
        "lora_unet_middle_block_1_proj_in",
        "lora_unet_middle_block_2_out_layers_3",
        "lora_unet_output_blocks_2_2_conv",
        "lora_unet_output_blocks_5_1_transformer_blocks_0_attn1_to_q",
        "lora_unet_output_blocks_8_0_skip_connection",
        "lora_unet_out_2",
        "lora_unet_time_embed_0",
        "lora_unet_label_emb_0_2",
        "lora_te1_text_model_encoder_layers_0_self_attn_q_proj",
        "lora_te2_text_model_encoder_layers_1_mlp_fc2",
    }


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("names", ["diffusers", "kohya"])
def test_our_own_loader_takes_both_names(
    base: Path, tmp_path: Path, names: str, *, dora: bool
) -> None:
    adapter = adapter_on(base, dora=dora)
    path = tmp_path / "lora.safetensors"
    (adapter.write if names == "diffusers" else adapter.write_kohya)(path)
    fresh = pipeline_of(base)
    lora.load(fresh.unet, path, fresh.text_encoder)
    found = lora.collect(fresh.unet, fresh.text_encoder)
    check_same(adapter.tensors, found.tensors)
    assert found.alphas == adapter.alphas


def check_same(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name].to(one[name].dtype)) for name in one)


def test_a_tensor_that_fits_nowhere_is_named() -> None:
    with pytest.raises(ValueError, match="lora_unet_what"):
        from_kohya({"lora_unet_what.lora_down.weight": torch.zeros(1, 1)}, ["unet.conv_in"])
    with pytest.raises(ValueError, match="not a LoRA's tensor"):
        to_kohya({"unet.conv_in.weight": torch.zeros(1)}, {})
    with pytest.raises(ValueError, match="text_encoder_2"):
        SD.module("text_encoder_2.text_model.encoder.layers.0.mlp.fc1")
    assert not is_kohya([])
    assert not is_kohya(["unet.conv_in.lora_A.weight"])


def card(trigger: str = "sks", title: str = "A person", **training: Any) -> Card:
    return Card(
        Description(
            family=MINI,
            title=title,
            trigger_phrase=trigger,
            resolution=(64, 64),
            made_at=datetime(2026, 5, 3, 12, 30, tzinfo=UTC),
            prediction_type="v",
            thumbnail=np.full((400, 300, 3), 200, np.uint8),
        ),
        Training(
            network_dim=4, network_alpha=2, learning_rate=1e-3, lr_scheduler="cosine",
            lr_warmup_steps=5, optimizer="adamw", max_train_steps=100, steps=100,
            total_batch_size=4, num_train_images=5, mixed_precision="no", seed=7,
            sd_model_name="mini", **training,
        ),
    )  # fmt: skip


def header_of(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as stored:
        return dict(stored.metadata())


@pytest.mark.parametrize("big", [False, True])
def test_the_hashes_are_those_that_the_documents_define(tmp_path: Path, *, big: bool) -> None:
    """ModelSpec's by its own reading example, sd-scripts' from a file without other entries."""
    side = 1024 if big else 4
    torch.manual_seed(0)
    tensors = {
        "unet.conv_in.lora_A.weight": torch.randn(4, side),
        "unet.conv_in.lora_B.weight": torch.randn(side, 4),
        "unet.conv_out.lora_A.weight": torch.randn(side, side).half(),
    }
    path = tmp_path / "lora.safetensors"
    Adapter(tensors, {}, {}).write(path, card())
    with path.open("rb") as file:
        file.seek(struct.unpack("<Q", file.read(8))[0], 1)
        behind = hashlib.sha256(file.read()).hexdigest()
    header = header_of(path)
    assert header["modelspec.hash_sha256"] == f"0x{behind}"
    assert header["sshs_model_hash"] == behind
    trained = {name: text for name, text in header.items() if name.startswith("ss_")}
    bare = save(tensors, trained)
    assert (len(bare) > 0x100000) == big
    window = hashlib.sha256(bare[0x100000 : 0x100000 + 0x10000]).hexdigest()[:8]
    assert header["sshs_legacy_hash"] == window
    assert all(torch.equal(tensors[name], one) for name, one in load_file(path).items())


def test_the_same_lora_is_the_same_file(base: Path, tmp_path: Path) -> None:
    adapter = adapter_on(base)
    for name in ("a", "b"):
        adapter.write(tmp_path / name, card())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_header_says_what_other_programs_look_for(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    made = card(conv_dim=4, new_sd_model_hash="ab" * 32, noise_offset=0.05)
    adapter_on(base).write_kohya(path, made)
    header = header_of(path)
    expected = {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": "myspinbot-mini/lora",
        "modelspec.implementation": "diffusers",
        "modelspec.title": "A person",
        "modelspec.date": "2026-05-03T12:30:00+00:00",
        "modelspec.resolution": "64x64",
        "modelspec.trigger_phrase": "sks",
        "modelspec.prediction_type": "v",
        "ss_network_module": "networks.lora",
        "ss_network_dim": "4",
        "ss_network_alpha": "2",
        "ss_learning_rate": "0.001",
        "ss_new_sd_model_hash": "ab" * 32,
        "ss_noise_offset": "0.05",
        "ss_resolution": "(64, 64)",
        "ss_v2": "False",
    }
    assert {name: header[name] for name in expected} == expected
    assert json.loads(header["ss_network_args"]) == {"conv_dim": "4", "conv_alpha": "2"}
    assert json.loads(header["ss_tag_frequency"]) == {"photos": {"sks": 5}}
    assert "ss_training_started_at" not in header
    kind, _, content = header["modelspec.thumbnail"].partition(",")
    with Image.open(BytesIO(base64.b64decode(content))) as picture:
        assert (kind, picture.format, picture.size) == (
            "data:image/jpeg;base64", "JPEG", (192, 256)
        )  # fmt: skip
        assert not picture.getexif()


def test_each_naming_says_whose_names_it_bears() -> None:
    content = Container({"a": torch.zeros(1)})
    about = Description(
        family=SDXL, title="t", trigger_phrase="sks", resolution=(1024, 1024),
        made_at=datetime(2026, 1, 1, tzinfo=UTC), prediction_type="epsilon",
    )  # fmt: skip
    made = Card(about, card(weight_decomposition=True).training)
    assert made.entries(content, "diffusers")["modelspec.implementation"] == "diffusers"
    entries = made.entries(content, "kohya")
    assert "generative-models" in entries["modelspec.implementation"]
    assert entries["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    assert entries["ss_network_module"] == "lycoris.kohya"
    assert json.loads(entries["ss_network_args"])["dora_wd"] == "True"


@settings(max_examples=60, deadline=None)
@given(trigger=st.text(st.characters(), max_size=40), title=st.text(st.characters()))
def test_any_text_leaves_the_file_readable(
    tmp_path_factory: pytest.TempPathFactory, trigger: str, title: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "hostile.safetensors"
    tensors = {"unet.conv_in.lora_A.weight": torch.ones(2, 2)}
    Adapter(tensors, {}, {}).write(path, card(f"sks {trigger}", f'"}}\ud800\u202e\x00{title}'))
    header = header_of(path)
    assert header["modelspec.trigger_phrase"].startswith("sks")
    assert header["modelspec.title"].startswith('"}')
    assert not set("\ud800\u202e\x00\n\r") & set("".join(header.values()))
    assert torch.equal(load_file(path)["unet.conv_in.lora_A.weight"], torch.ones(2, 2))
