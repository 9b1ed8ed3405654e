"""Is a script in a language that the voice cannot read? Told by its commonest words.

The little words of a language (articles, pronouns, conjunctions) are a third of any running text
and are hardly ever part of a name or a title, so a name or a quoted phrase among English words
does not count for much. What languages share with English ("in", "so", "me") counts for none. Pure.
"""

# ruff: noqa: RUF001 - quotation marks of other languages are what is looked for.

from __future__ import annotations

import re

from gpu_runner.speech.words import words_of

_ENGLISH = words_of("""
    the of and to it is you that for are with his they be at one this from or had by not but what
    all were we when your can said there use each which she how their if will up about out many
    then them these some her would make like him into time has more go my than been who its now
    did get made may our
""")
_SHARED = words_of("a in was an so me no he do on as or is of i am come us die war man have")
_OTHERS = {
    "German": """
        der das und ist nicht ich du sie wir ihr ein eine einen einem einer mit auf für von dem den
        des zu zum zur auch sich es wie aber oder wenn dass sind haben hat wird werden kann noch
        nach bei aus über unser mein dein heute mir dich mich""",
    "Spanish": """
        el los las y que es en un una por con para del se lo como más pero sus le ya este esta sí
        porque cuando muy sin sobre también hay donde quien desde todo nos durante estoy somos son
        está yo tú mi la de al""",
    "French": """
        le les des et est dans une un que qui pour pas sur au aux avec ce cette il elle nous vous
        ils je ne se du mais ou où sont par plus son ses leur être avoir fait comme très bien aussi
        mon votre notre c'est la de""",
    "Italian": """
        il lo gli che di è un una per non con del della sono mi si ho ha anche come ma questo
        questa nel più perché quando molto dei alla delle io tu noi voi la""",
    "Portuguese": """
        o os que é um uma para com não por mais dos das se na no como mas foi ao ele ela seu sua
        são está você nós muito também já quando eu de da do""",
    "Dutch": """
        het een van en dat niet met voor zijn je ik wij hij aan ook maar er om naar bij nog uit
        deze dit kan wordt heeft hebben geen wat zou zij mijn jouw de""",
}
_COMMON = {language: words_of(words) - _ENGLISH - _SHARED for language, words in _OTHERS.items()}
_QUOTED = re.compile(r"""["“„«][^"“”„«»\n]{1,500}["“”»]|[‘‚'](?=\w)[^‘’‚'\n]{1,300}[’'](?!\w)""")

_FEWEST_WORDS = 4
_FEWEST_HITS = 2
_SHARE = 0.2
_MORE = 4


def foreign_language(text: str) -> str | None:
    """The English name of the language, if it is clearly one of six others; None for the rest.

    At least a fifth of all words are that language's little words, and more than four times as many
    as are English ones. What stands in quotation marks is not looked at, unless it is all.
    """
    unquoted = _QUOTED.sub(" ", text)
    words = _words(unquoted) if len(_words(unquoted)) >= _FEWEST_WORDS else _words(text)
    if len(words) < _FEWEST_WORDS:
        return None
    english = sum(word in _ENGLISH - _SHARED for word in words)
    hits = {name: sum(word in common for word in words) for name, common in _COMMON.items()}
    name, most = max(hits.items(), key=lambda entry: entry[1])
    if most < max(_FEWEST_HITS, _SHARE * len(words)) or most <= _MORE * english:
        return None
    return name


def _words(text: str) -> list[str]:
    """Words, in lower case if they begin a sentence; a capital within one makes a name."""
    text = re.sub(r"(?:^|[.!?:\n]\s*)\W*\w", lambda m: m[0].lower(), text.replace("\u2019", "'"))
    return re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", text)
