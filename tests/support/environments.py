"""An engine with an environment of its own, whose libraries are two tiny wheels made here."""

from __future__ import annotations

import base64
import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

from gpu_runner.plugins import environment
from gpu_runner.plugins.environment import Environment

CHECK = "import greeting, torch\nassert greeting.WORDS\n"
_PROGRAM = """
import json
import greeting
print(json.dumps({"type": "done", "outputs": {}, "metrics": {"words": greeting.WORDS}}))
"""
_PLUGIN = """
protocol = 1
kind = "greet"
name = "greeter"
version = "1"
title = "Greets"
lane = "cpu"
licence = "MIT"
command = ["{environment}", "program.py"]
"""
_ENVIRONMENT = """
name = "greeter"
title = "Greets"
licence = "MIT"
torch = "1.2"
download_bytes = 1000
disk_bytes = 2000
check = ["check.py"]
"""


def wheel(folder: Path, name: str, version: str, code: str) -> Path:
    """A wheel with one module."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        lines.append(f"{path},sha256={digest.decode()},{len(text)}")
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,"]) + "\n"
    made = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in files.items():
            # Without the time of its making, so that the same wheel has the same digest.
            archive.writestr(zipfile.ZipInfo(path), text)
    return made


@dataclass(frozen=True)
class Workshop:
    """Where a tiny engine is written, and its libraries can be had without network."""

    root: Path

    @property
    def settings(self) -> dict[str, str]:
        """For pip, which asks nobody but us."""
        return {
            **os.environ,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": (self.root / "index").as_uri(),
            "PIP_EXTRA_INDEX_URL": "",
            "PIP_FIND_LINKS": str(self.root / "wheels"),
            "TORCH_INDEX": (self.root / "torch-index").as_uri(),
            "MYSPINBOT_HOME": str(self.root / "home"),
        }

    def write(self, *, words: str = "hello", check: str = CHECK) -> Environment:
        """The engine `greeter`, whose lock names a library that says these words."""
        place = self.root / "torch-index" / "torch"
        torch = wheel(place, "torch", "1.2", "COMES_FROM = 'torch-index'\n")
        (place / "index.html").write_text(f"<a href='{torch.name}'>{torch.name}</a>")
        library = wheel(self.root / "wheels", "greeting", "1.0", f"WORDS = {words!r}\n")
        folder = self.root / "greeter"
        folder.mkdir(exist_ok=True)
        digest = hashlib.sha256(library.read_bytes()).hexdigest()
        files = {
            "plugin.toml": _PLUGIN,
            "program.py": _PROGRAM,
            "check.py": check,
            "requirements.txt": f"greeting==1.0 --hash=sha256:{digest}\n",
            environment.FILE: _ENVIRONMENT,
        }
        for name, text in files.items():
            (folder / name).write_text(text)
        return environment.at(folder)
