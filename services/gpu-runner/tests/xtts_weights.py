"""Makes a tiny XTTS with random weights, in the form in which the real one is published.

Run by the interpreter of the engine's environment, where the plug-in's modules are found too:
PYTHONPATH=plugins/xtts xtts_weights.py FOLDER
"""

import sys
from pathlib import Path

import libraries

CODES = 256
"""Of sound; the real model has 8192."""


def main(folder: Path) -> None:
    libraries.prepare()
    import torch
    from tokenizers import Tokenizer, models
    from TTS.tts.configs.xtts_config import XttsArgs, XttsAudioConfig, XttsConfig
    from TTS.tts.layers.xtts.dvae import DiscreteVAE
    from TTS.tts.models.xtts import Xtts

    folder.mkdir(parents=True)
    torch.manual_seed(5)
    special = ["[STOP]", "[UNK]", "[SPACE]", "[START]", "[en]", "[de]", "[ja]", "[zh-cn]"]
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789.,!?'-äöüß"]
    vocabulary = {token: number for number, token in enumerate([*special, *letters])}
    unknown = special[1]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=unknown))
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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
