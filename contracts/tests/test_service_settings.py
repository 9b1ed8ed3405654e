"""Settings from variables, and from the files that containers are given secrets in."""

from __future__ import annotations

from pathlib import Path

import pytest
from servicekit.settings import Environment, SettingsError


def settings(**values: str) -> Environment:
    return Environment({f"MYSPINBOT_{name}": value for name, value in values.items()})


def test_a_secret_is_read_from_the_file_that_its_variable_names(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"correct horse \n")
    assert settings(SECRET_FILE=str(secret)).text("SECRET") == "correct horse "


def test_a_number_may_stand_in_a_file_too(tmp_path: Path) -> None:
    port = tmp_path / "port"
    port.write_text("9100\r\n")
    assert settings(ADMIN_PORT_FILE=str(port)).number("ADMIN_PORT", 0) == 9100


def test_a_file_that_is_not_there_is_told_with_its_variable_and_name(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(SettingsError, match=r"MYSPINBOT_SECRET_FILE names .*missing"):
        settings(SECRET_FILE=missing).text("SECRET", "a default does not hide it")


def test_a_file_of_bytes_that_are_no_text_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="MYSPINBOT_SECRET_FILE"):
        settings(SECRET_FILE=str(secret)).text("SECRET")


def test_a_variable_and_its_file_exclude_each_other(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("one")
    with pytest.raises(SettingsError, match="not both"):
        settings(QUOTA="1", QUOTA_FILE=str(secret)).text("QUOTA")


def test_what_is_set_nowhere_has_its_default_or_is_asked_for() -> None:
    assert settings().text("S3_BUCKET", "myspinbot") == "myspinbot"
    assert settings(S3_BUCKET="").text("S3_BUCKET", "myspinbot") == ""
    with pytest.raises(SettingsError, match="set MYSPINBOT_S3_BUCKET"):
        settings().text("S3_BUCKET")


def test_work_is_not_given_out_again_at_once() -> None:
    assert settings().ack_wait_s() == 30
    assert settings(ACK_WAIT_S="2").ack_wait_s() == 2
    with pytest.raises(SettingsError, match="ACK_WAIT_S must be 1 or more"):
        settings(ACK_WAIT_S="0.5").ack_wait_s()
