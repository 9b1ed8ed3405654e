"""The check for authors passes the plug-in that we bring."""

from __future__ import annotations

import re

import pytest
from gpu_runner.plugins.check.__main__ import main
from plugin_support import AUDIOGRAM


def test_the_audiogram_passes(capsys: pytest.CaptureFixture[str]) -> None:
    status = main([str(AUDIOGRAM)])
    told = capsys.readouterr().out
    assert status == 0, told
    assert re.search(r"ok +outputs are as the kind asks +\(video of 1\.8. s", told)
    assert re.search(r"ok +the same seed gives the same files", told)
