"""The page for authors: its example is a plug-in that passes the check."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from gpu_runner.plugins.check.__main__ import main
from plugin_support import ROOT


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
