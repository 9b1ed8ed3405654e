"""Training a LoRA the ordinary way, for `make bench-lora` to compare with.

What a plain script does, as in diffusers' own example of text-to-image LoRA: peft puts the adapter
in, accelerate prepares the rest, and each step opens its pictures, transforms them, and encodes
pictures and words before the UNet is asked. Nothing in it is slower than there: as many threads,
no copies, no logging but a progress bar.

    python -m tests.load.lora_plain BASE PICTURES OUTPUT '{"steps": 150}'
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from accelerate import Accelerator
from accelerate.utils import set_seed
from diffusers import (
    AutoencoderTiny,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.optimization import get_scheduler
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm
from transformers import CLIPTextModel, CLIPTokenizer

from tests.load.lora_told import Told


class Pictures(Dataset):
    """The PNG files of a folder, scaled, sometimes mirrored, with the tokens of their caption."""

    def __init__(self, folder: Path, caption: str, side: int, tokenizer: CLIPTokenizer) -> None:
        self.paths = sorted(folder.glob("*.png"))
        self.caption, self.side, self.tokenizer = caption, side, tokenizer

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        picture = Image.open(self.paths[number]).convert("RGB")
        picture = picture.resize((self.side, self.side), Image.Resampling.BILINEAR)
        if random.random() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float().div(255)
        tokens = self.tokenizer(
            self.caption,
            max_length=self.tokenizer.model_max_length,
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        )
        return {"pixel_values": (pixels - 0.5) / 0.5, "input_ids": tokens.input_ids[0]}


def main(base: Path, pictures: Path, output: Path, config: dict) -> None:
    told = Told(output)
    accelerator = Accelerator(mixed_precision="no", cpu=True)
    set_seed(config["seed"])

    scheduler = DDIMScheduler.from_pretrained(base, subfolder="scheduler")
    tokenizer = CLIPTokenizer.from_pretrained(base, subfolder="tokenizer")
    text_encoder = CLIPTextModel.from_pretrained(
        base, subfolder="text_encoder", torch_dtype=torch.float32
    )
    vae = AutoencoderTiny.from_pretrained(base, subfolder="vae", torch_dtype=torch.float32)
    unet = UNet2DConditionModel.from_pretrained(base, subfolder="unet", torch_dtype=torch.float32)
    for model in (unet, vae, text_encoder):
        model.requires_grad_(False)
        model.to(accelerator.device)

    unet.add_adapter(
        LoraConfig(
            r=config["rank"],
            lora_alpha=config["rank"],
            init_lora_weights="gaussian",
            target_modules=config["targets"],
        )
    )
    lora_layers = [weight for weight in unet.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        lora_layers, lr=config["learning_rate"], weight_decay=config["weight_decay"]
    )
    dataset = Pictures(pictures, config["caption"], config["side"], tokenizer)
    # The same picture may come twice in a batch, as it may with us: there are few of them.
    order = torch.utils.data.RandomSampler(
        dataset, replacement=True, num_samples=config["steps"] * config["batch_size"]
    )
    loader = DataLoader(dataset, sampler=order, batch_size=config["batch_size"])
    lr_scheduler = get_scheduler(
        "cosine", optimizer, num_warmup_steps=config["warmup"], num_training_steps=config["steps"]
    )
    unet, optimizer, loader, lr_scheduler = accelerator.prepare(
        unet, optimizer, loader, lr_scheduler
    )

    unet.train()
    bar = tqdm(total=config["steps"])
    for batch in loader:
        with accelerator.accumulate(unet):
            latents = vae.encode(batch["pixel_values"]).latents * vae.config.scaling_factor
            noise = torch.randn_like(latents)
            timesteps = torch.randint(
                0, scheduler.config.num_train_timesteps, (len(latents),), device=latents.device
            )
            noisy = scheduler.add_noise(latents, noise, timesteps)
            words = text_encoder(batch["input_ids"], return_dict=False)[0]
            if scheduler.config.prediction_type == "v_prediction":
                target = scheduler.get_velocity(latents, noise, timesteps)
            else:
                target = noise
            predicted = unet(noisy, timesteps, words, return_dict=False)[0]
            loss = F.mse_loss(predicted.float(), target.float(), reduction="mean")
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(lora_layers, 1.0)
            optimizer.step()
            lr_scheduler.step()
            optimizer.zero_grad()
        bar.update(1)
        bar.set_postfix(loss=loss.detach().item(), lr=lr_scheduler.get_last_lr()[0])
        told.step(loss.item())
    bar.close()

    weights = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    StableDiffusionPipeline.save_lora_weights(str(output), unet_lora_layers=weights)
    told.write()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4]))
