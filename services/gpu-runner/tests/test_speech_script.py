"""Scripts as people type them: cut, spelled out, pronounced, or refused without quoting them."""

# ruff: noqa: RUF001 - phonetic symbols and typographic signs are what is tested.

from __future__ import annotations

import pytest
from gpu_runner.speech.kokoro import vocabulary
from gpu_runner.speech.phonemes import kokoro_symbols, pieces, pronounce
from gpu_runner.speech.reading import spell_out
from gpu_runner.speech.recognizer import comparable_words, word_error_rate
from gpu_runner.speech.script import read_script
from gpu_runner.stage import StageError
from hypothesis import given, settings
from hypothesis import strategies as st


def test_sentences_end_at_marks_and_lines_but_not_at_abbreviations() -> None:
    text = "Dr. Smith met J. R. Ewing, e.g. at 5 p.m. today. Really?! Yes...\nA heading\n\nThe end"
    shown = [sentence.shown for sentence in read_script(text.encode())]
    assert shown == [
        "Dr. Smith met J. R. Ewing, e.g. at 5 p.m. today.",
        "Really?!",
        "Yes...",
        "A heading",
        "The end",
    ]


def test_a_paragraph_is_known_to_end() -> None:
    sentences = read_script(b"One. Two.\n\nThree.")
    assert [sentence.ends_paragraph for sentence in sentences] == [False, True, False]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("It’s “fine”…", "It's fine ..."),
        ("5km—or 3 miles", "5 kilometers, or 3 miles"),
        ("the café in Łódź", "the cafe in Lodz"),
        ("mail ann@site.org", "mail ann at site dot org"),
        ("the 1990s, the 3rd", "the 19 nineties, the 3rd"),
        ("2 + 2 = 4 😀", "2 plus 2 equals 4"),
        ("HELLO from the FBI", "hello from the FBI"),
        ("fruit, e.g. figs", "fruit, for example figs"),
    ],
)
def test_signs_units_and_addresses_are_read_as_words(text: str, read: str) -> None:
    (sentence,) = read_script(text.encode())
    assert sentence.read == read


@pytest.mark.parametrize(
    ("code", "data"),
    [
        ("script-empty", b" \n\t "),
        ("script-not-text", b"\xff\xfe\x00secret"),
        ("script-too-long", b"secret " * 3000),
        ("script-not-english-letters", "секрет".encode()),
        ("script-not-english-letters", "secret 秘密".encode()),
        ("script-not-speakable", "?! 😀 --".encode()),
    ],
)
def test_a_script_that_cannot_be_spoken_is_refused_without_quoting_it(
    code: str, data: bytes
) -> None:
    with pytest.raises(StageError) as caught:
        read_script(data)
    assert caught.value.code == code
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("gruut", "kokoro"),
    [("ˈoʊ", "ˈO"), ("eɪ", "A"), ("ˌaɪ", "ˌI"), ("aʊ", "W"), ("ɔɪ", "Y"), ("t͡ʃ", "ʧ"),
     ("d͡ʒ", "ʤ"), ("ɚ", "əɹ"), ("ˈɚ", "ˈɜɹ"), ("ɡ", "ɡ"), ("uː", "u")],
)  # fmt: skip
def test_phonemes_become_the_symbols_the_model_knows(gruut: str, kokoro: str) -> None:
    assert kokoro_symbols(gruut) == kokoro


def test_words_know_their_place_in_the_phonemes() -> None:
    found = pronounce("The judge paid 20 dollars, twice?")
    assert [word.text for word in found.words] == [
        "The",
        "judge",
        "paid",
        "twenty",
        "dollars",
        "twice",
    ]
    assert found.symbols[found.words[1].first : found.words[1].past] == "ʤˈʌʤ"
    assert found.symbols.endswith("?")
    assert set(found.symbols) <= vocabulary().keys()


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_whatever_is_typed_is_pronounced_in_known_symbols_or_refused(text: str) -> None:
    try:
        sentences = read_script(text.encode())
    except StageError:
        return
    for sentence in sentences:
        assert set(pronounce(sentence.read).symbols) <= vocabulary().keys()


def test_a_long_sentence_is_cut_at_a_pause_and_loses_only_spaces() -> None:
    whole = pronounce("one two three, " * 12)
    parts = pieces(whole, 60)
    assert all(len(part.symbols) <= 60 for part in parts)
    assert " ".join(part.symbols for part in parts) == whole.symbols
    assert [word.text for part in parts for word in part.words] == [w.text for w in whole.words]
    assert all(part.symbols[-1] in ",." for part in parts)


def test_word_error_rate_counts_substitutions_insertions_and_deletions() -> None:
    said = comparable_words("Don't stop the red train.")
    assert word_error_rate(said, comparable_words("dont stop the red train")) == 0
    assert word_error_rate(said, comparable_words("don't stop a red rain now")) == pytest.approx(
        0.6
    )
    assert word_error_rate(said, []) == 1


def test_spelling_out_keeps_plain_words() -> None:
    assert spell_out("Nothing to change here, is there?") == "Nothing to change here, is there?"


def test_subtitles_keep_the_writers_own_signs_though_they_are_read_as_plain_ones() -> None:
    typed = read_script("“Don’t go…” she said. It’s late.".encode())
    assert [each.shown for each in typed] == ["“Don’t go…”", "she said.", "It’s late."]
    plain = read_script(b"\"Don't go...\" she said. It's late.")
    assert [each.read for each in typed] == [each.read for each in plain]
    assert typed[0].read == "Don't go..."
