"""Programs that come from the system's packages and not from a wheel."""

from __future__ import annotations

import os
import shutil

import pytest


def required(name: str, package: str) -> str:
    """The path of a program. Without it the test is skipped, or fails where nothing may lack."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed (Debian: apt install {package})"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found
