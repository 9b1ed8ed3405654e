"""Tells what XTTS says in each language, and which words of it: xtts_languages.py VOCABULARY

Run by the interpreter of the engine's environment, with the plug-in's modules.
"""

import json
import sys
from dataclasses import asdict

import libraries


def main(vocabulary: str) -> None:
    libraries.prepare()
    import script
    from learning import PREVIEWS
    from sounds import sounds
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

    tokenizer = VoiceBpeTokenizer(vocab_file=vocabulary)
    told = {}
    for code, text in {**PREVIEWS, "en": "Dr. Smith paid $45.50 — twice!"}.items():
        said = script.sentence(text, code, tokenizer)
        told[code] = {
            "text": text,
            "spoken": said.spoken,
            "words": [asdict(word) for word in said.words],
            "sounds": [sounds(said.spoken[word.first : word.past]) for word in said.words],
        }
    pieces = [each.strip() for each in script._fitting("word, " * 60 + "end.", 100)]
    sys.stdout.write(json.dumps({"languages": told, "pieces": pieces}))


if __name__ == "__main__":
    main(sys.argv[1])
