"""How the projector is told of its database."""

from __future__ import annotations

from pathlib import Path

import pytest
from projector.settings import database_url
from servicekit.settings import Environment, SettingsError
from sqlalchemy.engine import make_url

OPEN = "postgresql+asyncpg://myspinbot@postgres/myspinbot"


def url_of(**values: str) -> str:
    return database_url(Environment({f"MYSPINBOT_{name}": text for name, text in values.items()}))


@pytest.fixture
def password(tmp_path: Path) -> str:
    """The path of a file with a password."""
    file = tmp_path / "password"
    file.write_text("swordfish")
    return str(file)


def test_a_password_from_a_file_reaches_the_url_whatever_is_in_it(tmp_path: Path) -> None:
    file, word = tmp_path / "password", "p@ss/w:rd?#%"
    file.write_text(f"{word}\n")
    url = make_url(url_of(DATABASE_URL=OPEN, DATABASE_PASSWORD_FILE=str(file)))
    assert url.password == word
    assert (url.username, url.host, url.database) == ("myspinbot", "postgres", "myspinbot")


def test_a_url_without_a_password_is_left_as_it_is() -> None:
    assert url_of(DATABASE_URL="sqlite+aiosqlite:////data/views.db") == (
        "sqlite+aiosqlite:////data/views.db"
    )


def test_two_passwords_are_refused(password: str) -> None:
    with pytest.raises(SettingsError, match="another"):
        url_of(DATABASE_URL="postgresql+asyncpg://a:b@c/d", DATABASE_PASSWORD_FILE=password)


def test_text_that_is_no_url_is_refused_without_repeating_it(password: str) -> None:
    with pytest.raises(SettingsError, match=r"is no URL$"):
        url_of(DATABASE_URL="secret words", DATABASE_PASSWORD_FILE=password)


def test_a_missing_url_is_asked_for() -> None:
    with pytest.raises(SettingsError, match="MYSPINBOT_DATABASE_URL"):
        url_of()
