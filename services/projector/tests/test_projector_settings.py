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


def test_a_password_from_a_file_reaches_the_url_whatever_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("p@ss/w:rd?#%\n")
    url = make_url(url_of(DATABASE_URL=OPEN, DATABASE_PASSWORD_FILE=str(file)))
    assert url.password == "p@ss/w:rd?#%"
    assert (url.username, url.host, url.database) == ("myspinbot", "postgres", "myspinbot")


def test_a_url_without_a_password_is_left_as_it_is() -> None:
    assert url_of(DATABASE_URL="sqlite+aiosqlite:////data/views.db") == (
        "sqlite+aiosqlite:////data/views.db"
    )


def test_two_passwords_are_refused() -> None:
    with pytest.raises(SettingsError, match="another"):
        url_of(DATABASE_URL="postgresql+asyncpg://a:b@c/d", DATABASE_PASSWORD="e")


def test_text_that_is_no_url_is_refused_without_repeating_it() -> None:
    with pytest.raises(SettingsError, match="is no URL$"):
        url_of(DATABASE_URL="secret words", DATABASE_PASSWORD="e")


def test_a_missing_url_is_asked_for() -> None:
    with pytest.raises(SettingsError, match="MYSPINBOT_DATABASE_URL"):
        url_of()
