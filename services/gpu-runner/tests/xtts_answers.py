"""Tells how the engine answers to several jobs: xtts_answers.py JOBS, a file with a list of them.

Run by the interpreter of the engine's environment, with the plug-in's modules, which take longer
to import than such jobs to refuse. A job with `asked_at` is asked for a checkpoint, as by a runner
that is about to stop, when it has done that much.
"""

import json
import signal
import sys
from pathlib import Path

import libraries


def main(jobs: Path) -> None:
    libraries.prepare()
    from main import answer

    said: list[dict[str, object]] = []
    for job in json.loads(jobs.read_bytes()):

        def hear(kind: str, *, at: object = job.get("asked_at"), **what: object) -> None:
            said.append({"type": kind, **what})
            if kind == "progress" and what["done"] == at:
                signal.raise_signal(signal.SIGTERM)

        answer(job, hear)
    told = [each for each in said if each["type"] in ("checkpoint", "done", "failed")]
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
