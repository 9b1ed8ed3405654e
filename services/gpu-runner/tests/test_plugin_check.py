"""The check for authors passes the plug-in that we bring, and the example on their page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from gpu_runner.plugins.check.__main__ import main
from plugin_support import AUDIOGRAM, ROOT


def test_the_audiogram_passes(capsys: pytest.CaptureFixture[str]) -> None:
    status = main([str(AUDIOGRAM)])
    told = capsys.readouterr().out
    assert status == 0, told
    assert re.search(r"ok +outputs are as the kind asks +\(video of 1\.8. s", told)
    assert re.search(r"ok +the same seed gives the same files", told)


def test_the_example_of_the_page_for_authors_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "plugins.md").read_text()
    files = re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert [name for name, _ in files] == ["plugin.toml", "pencil.py"]
    for name, text in files:
        (tmp_path / name).write_text(text)
    status = main([str(tmp_path)])
    told = capsys.readouterr().out
    assert status == 0, told
    assert "ok    nothing of it outlives a kill" in told
