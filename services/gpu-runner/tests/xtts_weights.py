"""Makes a tiny XTTS with random weights, in the form in which the real one is published.

Run by the interpreter of the engine's environment: xtts_weights.py PLUGIN FOLDER
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])

import libraries

libraries.prepare()

import torch
from tokenizers import Tokenizer, models
from TTS.tts.configs.xtts_config import XttsArgs, XttsAudioConfig, XttsConfig
from TTS.tts.layers.xtts.dvae import DiscreteVAE
from TTS.tts.models.xtts import Xtts

CODES = 32
"""Of sound; the real model has 8192."""


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    torch.manual_seed(5)
    special = ["[STOP]", "[UNK]", "[SPACE]", "[START]", "[en]", "[de]", "[ja]", "[zh-cn]"]
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789.,!?'-äöüß"]
    vocabulary = {token: number for number, token in enumerate([*special, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="[UNK]"))
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "vocab.json"))
    args = XttsArgs(
        gpt_layers=2,
        gpt_n_model_channels=64,
        gpt_n_heads=2,
        gpt_max_audio_tokens=120,
        gpt_max_text_tokens=200,
        gpt_max_prompt_tokens=70,
        gpt_num_audio_tokens=CODES + 2,
        gpt_start_audio_token=CODES,
        gpt_stop_audio_token=CODES + 1,
        gpt_number_text_tokens=len(vocabulary),
        gpt_start_text_token=vocabulary["[START]"],
        gpt_stop_text_token=vocabulary["[STOP]"],
        gpt_use_perceiver_resampler=True,
        decoder_input_dim=64,
    )
    config = XttsConfig(model_args=args, audio=XttsAudioConfig())
    config.save_json(str(folder / "config.json"))
    model = Xtts(config)
    torch.save({"model": model.state_dict(), "config": config.to_dict()}, folder / "model.pth")
    codec = DiscreteVAE(
        channels=80,
        normalization=None,
        positional_dims=1,
        num_tokens=CODES,
        codebook_dim=512,
        hidden_dim=512,
        num_resnet_blocks=3,
        kernel_size=3,
        num_layers=2,
        use_transposed_convs=False,
    )
    torch.save(codec.state_dict(), folder / "dvae.pth")
    print(json.dumps({each.name: each.stat().st_size for each in folder.iterdir()}))


main(Path(sys.argv[2]))
