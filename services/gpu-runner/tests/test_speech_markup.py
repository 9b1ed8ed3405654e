"""What is only for the eye is not spoken, and a language that the voice cannot read is told."""

from __future__ import annotations

import pytest
from gpu_runner.speech.language import foreign_language
from gpu_runner.speech.markup import plain
from gpu_runner.speech.script import parse_script
from gpu_runner.stage import StageError

PLAIN = {
    "Call **bold**, _this_, ***both***, ~~no~~ and `code`.": "Call bold, this, both, no and code.",
    '[our site](https://a.org/x_(y) "t") ![pic](a.png)': "our site pic",
    "# One\n\n- first\n* [x] second\n> said\n---\n| a |\n|---|": "One first second said a",
    "<p class='x'>A <b>bold</b> &amp; <a href=\"u\">link</a></p><br/>": "A bold & link",
    "<script>evil()</script><!-- no -->Yes": "Yes",
    "```python\ncode\n```": "code",
    r"\*kept\*, snake_case_name, 2 * 3 * 4, 3 < 5 and 6 > 2": (
        "*kept*, snake_case_name, 2 * 3 * 4, 3 < 5 and 6 > 2"
    ),
    "Hello 😀👨‍👩‍👧! Sun ☀️ and :-) flag 🇩🇪": "Hello! Sun and flag",
    "20 °C © 1 ≥ 2": "20 °C © 1 ≥ 2",
}  # fmt: skip


@pytest.mark.parametrize(("typed", "left"), PLAIN.items())
def test_markup_and_emoji_are_taken_out_and_nothing_else(typed: str, left: str) -> None:
    assert " ".join(plain(typed).text.split()) == left


def test_what_was_taken_out_is_counted() -> None:
    found = plain("**One** <b>two</b> 😀 🎉")
    assert (found.marks, found.emoji) == (3, 2)
    assert plain("Nothing here, is there?").marks == 0


def test_a_script_of_markdown_and_windows_line_ends_is_cut_as_it_looks() -> None:
    script = parse_script(b"# Title\r\n\r\n1. One **thing**.\r\n2. Another\r\n")
    assert [each.shown for each in script.sentences] == ["Title", "1. One thing.", "2. Another"]
    assert [each.ends_paragraph for each in script.sentences] == [True, True, False]
    assert script.marks == 2


def test_ten_thousand_words_are_refused_with_both_counts() -> None:
    with pytest.raises(StageError, match=r"has 60000 characters, at most 20000") as caught:
        parse_script(b"words " * 9_999 + b"words.")
    assert caught.value.code == "script-too-long"


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("German", "Guten Tag, ich bin der neue Sprecher, und heute ist ein schöner Tag."),
        ("Spanish", "Hola, me llamo Juan y vivo en Madrid con mi familia."),
        ("French", "Bonjour, je suis très content de vous voir dans cette vidéo."),
        ("Italian", "Ciao, sono Maria e questo è il mio video per voi."),
        ("Portuguese", "Olá, eu sou o João e este é um vídeo para você."),
        ("Dutch", "Hallo, ik ben Jan en dit is een video over het weer."),
    ],
)
def test_another_language_is_named(language: str, text: str) -> None:
    assert foreign_language(text) == language
    with pytest.raises(StageError, match=language) as caught:
        parse_script(text.encode())
    assert caught.value.code == "script-not-english"


@pytest.mark.parametrize(
    "text",
    [
        "President Kennedy said: Ich bin ein Berliner.",
        "She whispered “ich liebe dich, mein Herz, und das ist nicht alles” and left.",
        "Rio de Janeiro, Côte d'Azur, Ludwig van Beethoven, La La Land",
        "We saw Die Hard, Les Miserables, El Mariachi and La Dolce Vita.",
        "The menu reads: la soupe du jour et le fromage.",
        "Garage band names: Los Lobos, De La Soul, Das Racist.",
        "Hello there.",
        "Stop! Now!",
        "My voice is warm and clear.",
    ],
)
def test_names_and_quotations_do_not_make_a_script_foreign(text: str) -> None:
    assert foreign_language(text) is None


@pytest.mark.parametrize(
    "bad", ["**", "[", "<a ", "*a", "`", "<!--", "| ", "<script>", "> ", "((", "_"]
)
def test_no_markup_takes_long(bad: str) -> None:
    # Patterns without bounds would need longer for this than a test may last.
    assert isinstance(plain((bad * 20_000)[:20_000]).marks, int)
