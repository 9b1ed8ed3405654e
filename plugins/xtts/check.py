"""What `myspinbot engines install xtts` asks before the engine counts as installed.

That all that is needed imports here, and the libraries for Chinese and Japanese find their words.
"""

import libraries


def main():
    """End with a word of what is wrong, if anything is."""
    libraries.prepare()
    import cutlet
    import pypinyin
    import torch
    import torchaudio
    from TTS.tts.layers.xtts.dvae import DiscreteVAE
    from TTS.tts.models.xtts import Xtts

    mel = torchaudio.transforms.MelSpectrogram(sample_rate=22_050, n_mels=80)(torch.zeros(1, 4096))
    if mel.shape[1] != 80:
        raise SystemExit("torchaudio computes no mel spectrogram")
    if not (issubclass(Xtts, torch.nn.Module) and issubclass(DiscreteVAE, torch.nn.Module)):
        raise SystemExit("coqui-tts has no XTTS")
    if cutlet.Cutlet().romaji("猫") != "Neko" or pypinyin.lazy_pinyin("猫") != ["mao"]:
        raise SystemExit("Chinese or Japanese cannot be romanised")


if __name__ == "__main__":
    main()
