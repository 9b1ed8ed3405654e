"""Consent in the command: said in options, asked for where somebody sits, and refused else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_support import Command
from contracts.consent import Basis, Likeness
from myspinbot import consent, samples
from myspinbot.commands.demo import PURPOSE, said_of
from myspinbot.consent import stated
from myspinbot.errors import MISUSED, CommandError

FACE, VOICE = Likeness.FACE, Likeness.VOICE
Answering = Callable[..., list[str]]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Answering:
    """Somebody at the terminal, who gives these answers; the questions are what is returned."""

    def sits(*answers: str) -> list[str]:
        given: Iterator[str] = iter(answers)
        asked: list[str] = []

        def answer(question: str, **_: object) -> str:
            asked.append(question)
            return next(given)

        monkeypatch.setattr(consent, "somebody_there", lambda: True)
        monkeypatch.setattr(consent.typer, "prompt", answer)
        return asked

    return sits


@pytest.mark.parametrize(
    ("who", "basis"),
    [
        ("myself", Basis.SELF),
        ("Myself ", Basis.SELF),
        ("nobody", Basis.NOBODY),
        ("Ada Lovelace", Basis.PERMISSION),
    ],
)
def test_who_it_is_tells_on_what_ground(who: str, basis: Basis) -> None:
    said = stated(who, "her talks", [VOICE, FACE])
    assert said is not None
    assert (said.who, said.basis, said.purpose) == (who.strip(), basis, "her talks")
    assert said.covers == (FACE, VOICE)


def test_what_is_not_said_is_asked_for(answering: Answering) -> None:
    asked = answering("Ada", "her talks")
    said = stated(None, None, [FACE])
    assert said is not None
    assert (said.who, said.purpose, said.covers) == ("Ada", "her talks", (FACE,))
    assert asked[0].startswith("Whose face is it?")
    assert len(asked) == 2


def test_where_no_likeness_is_used_nothing_is_asked() -> None:
    assert stated(None, None, []) is None
    of_a_profile = stated("myself", "talks", [])
    assert of_a_profile is not None
    assert of_a_profile.covers == (FACE, VOICE)


@pytest.mark.parametrize(("who", "purpose"), [(None, "talks"), ("Ada", None), (" ", "talks")])
def test_where_nobody_can_be_asked_it_is_refused(who: str | None, purpose: str | None) -> None:
    with pytest.raises(CommandError) as refused:
        stated(who, purpose, [FACE])
    assert refused.value.exit_status == MISUSED
    assert refused.value.remedy


def test_a_demonstration_of_the_sample_is_of_nobody_and_asks_nothing() -> None:
    said = said_of(None, own_face=False, own_voice=False)
    assert (said.who, said.basis, said.purpose) == (samples.WHO, Basis.NOBODY, PURPOSE)
    assert said.covers == (FACE, VOICE)


def test_a_demonstration_of_ones_own_says_whose_it_is(answering: Answering) -> None:
    with pytest.raises(CommandError):
        said_of(None, own_face=True, own_voice=False)
    assert said_of("myself", own_face=True, own_voice=True).basis is Basis.SELF
    asked = answering("Ada")
    said = said_of(None, own_face=False, own_voice=True)
    assert (said.who, said.basis) == (f"Ada; {samples.FACE}", Basis.PERMISSION)
    assert asked == [asked[0]]
    assert asked[0].startswith("Whose voice is it?")


@pytest.mark.usefixtures("api")
def test_a_job_tells_who_agreed_to_what(command: Command, photos: Path) -> None:
    refused = command("submit", str(photos))
    assert refused.status == MISUSED
    assert "--consent" in refused.err
    made = command("submit", str(photos), "--consent", "Ada", "--purpose", "her talks")
    told = command("show", made.out.strip()).out
    assert "Ada; with their permission; face for her talks; " in told
