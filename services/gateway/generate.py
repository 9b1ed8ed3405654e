"""Writes the gateway's OpenAPI document, or checks it.

`python services/gateway/generate.py` writes `docs/openapi.json`; with `--check` it changes
nothing and ends with status 1 when what is written differs from what the routes say.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from gateway.app import build
from servicekit.admin import Readiness

FILE = Path(__file__).parents[2] / "docs" / "openapi.json"


def document() -> str:
    """The document as it is published."""
    return json.dumps(build(Readiness()).openapi(), indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    made = document()
    if FILE.exists() and FILE.read_text() == made:
        return 0
    if check:
        sys.stderr.write(f"{FILE} is out of date: run `make schemas`\n")
        return 1
    FILE.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
