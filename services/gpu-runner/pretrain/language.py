"""The words of the base: a byte-pair tokenizer and a text encoder, CLIP's classes, but tiny."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

TRIGGER = "sks"
"""The word a LoRA ties to its person. No caption uses it, so it means nothing yet."""
LENGTH = 24
TEXT_WIDTH = 128
COMMON = (
    "a", "an", "the", "of", "in", "on", "with", "and", "at", "by", "from", "person", "people",
    "face", "head", "man", "woman", "girl", "boy", "child", "photo", "photograph", "drawing",
    "cartoon", "studio", "outdoor", "day", "night", "sun", "sky", "sea", "wearing", "looking",
    "camera", "hat", "eyes", "mouth", "old", "young", "long", "short", "curly", "straight",
    "dark", "bright", "happy", "colourful", "plain",
)  # fmt: skip
"""Words a user may write that no caption has: whole tokens, so that prompts stay short."""
START, END = "<|startoftext|>", "<|endoftext|>"


def make_tokenizer(captions: Iterable[str]) -> CLIPTokenizer:
    """A tokenizer that has each word of `captions` whole, and every other text in bytes."""
    words = sorted({word for text in captions for word in text.replace(",", " ,").split()})
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    wanted = [*words, *COMMON, TRIGGER]
    learner.train_from_iterator([*wanted, *wanted], trainer)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [tuple(pair) for pair in _merges(learner)]
    tokens = [START, END, *alphabet, *(letter + "</w>" for letter in alphabet)]
    tokens += [left + right for left, right in merges]
    vocab = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=LENGTH)


def _merges(learner: Tokenizer) -> Iterable[tuple[str, str]]:
    import json

    for pair in json.loads(learner.to_str())["model"]["merges"]:
        left, right = pair if isinstance(pair, list) else pair.split(" ")
        yield left, right


def make_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained two-layer CLIP text encoder for `tokenizer`."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=2 * TEXT_WIDTH,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
