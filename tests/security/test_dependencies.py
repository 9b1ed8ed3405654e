"""What is installed is what was locked: by version and by hash, everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted(
    path.relative_to(ROOT)
    for path in (*ROOT.glob("requirements/*.txt"), *ROOT.glob("plugins/*/requirements.txt"))
    if path.name != "overrides.txt"
)
_ENTRY = re.compile(r"^[a-zA-Z0-9][\w.-]*(\[[\w,-]+\])?==\S+( ; .+)?$")
_HASH = re.compile(r"^--hash=sha256:[0-9a-f]{64}$")


@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_every_requirement_has_one_version_and_its_hashes(lock: Path) -> None:
    text = (ROOT / lock).read_text().replace("\\\n", "\n")
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    assert lines
    hashes = len(lines)
    for line in lines:
        if _HASH.match(line):
            hashes += 1
            continue
        assert _ENTRY.match(line), line
        assert hashes, f"what stands before {line} has no hash"
        hashes = 0
    assert hashes


def test_each_lock_is_installed_with_its_hashes_and_nothing_besides() -> None:
    """PyTorch alone is in none: each machine needs a build of its own."""
    files = [ROOT / "Makefile", *ROOT.glob("deploy/images/*"), *ROOT.glob(".devcontainer/**/*")]
    installs = [
        line
        for path in files
        if path.is_file()
        for line in path.read_text(errors="replace").replace("\\\n", " ").splitlines()
        if re.search(r"pip\b.* install\b|\$\(PIP\) install", line) and "-r " in line
    ]
    assert len(installs) >= 4
    for line in installs:
        assert "--require-hashes" in line, line
        assert "--no-deps" in line, line


def test_every_lock_is_audited() -> None:
    made = (ROOT / "Makefile").read_text()
    assert "$(wildcard requirements/*.txt plugins/*/requirements.txt)" in made
    assert "pip-audit --strict" in made
    assert Path("requirements/audit.txt") in LOCKS
