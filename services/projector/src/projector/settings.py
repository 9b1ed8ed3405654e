"""What the projector and its tools are told about the database."""

from __future__ import annotations

from servicekit.settings import Environment, SettingsError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError


def database_url(environment: Environment) -> str:
    """`MYSPINBOT_DATABASE_URL`, with `MYSPINBOT_DATABASE_PASSWORD` put into it if that is set.

    A deployment keeps the password in a file (`MYSPINBOT_DATABASE_PASSWORD_FILE`) and the rest of
    the URL in the open. Raises SettingsError if there is no URL, or it is none, or it has another
    password.
    """
    text = environment.text("DATABASE_URL")
    password = environment.text("DATABASE_PASSWORD", "")
    if not password:
        return text
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise SettingsError("MYSPINBOT_DATABASE_URL is no URL") from error
    if url.password is not None:
        raise SettingsError(
            "MYSPINBOT_DATABASE_URL holds a password and MYSPINBOT_DATABASE_PASSWORD another; "
            "leave it out of the URL"
        )
    return url.set(password=password).render_as_string(hide_password=False)
