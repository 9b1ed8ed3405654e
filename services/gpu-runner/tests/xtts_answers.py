"""Tells how the engine answers to several jobs: xtts_answers.py JOBS, a file with a list of them.

Run by the interpreter of the engine's environment, with the plug-in's modules, which take longer
to import than such jobs to refuse.
"""

import json
import sys
from pathlib import Path

import libraries


def main(jobs: Path) -> None:
    libraries.prepare()
    from main import answer

    said: list[dict[str, object]] = []
    for job in json.loads(jobs.read_bytes()):
        answer(job, lambda kind, **what: said.append({"type": kind, **what}))
    endings = [message for message in said if message["type"] in ("done", "failed")]
    sys.stdout.write(json.dumps(endings))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
