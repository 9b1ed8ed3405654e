"""XTTS as a plug-in of MySpinBot, for `train_voice` and `synthesize_speech`.

Voice and speech are computed by coqui-tts with weights that it has published; this program loads
them without running what may be in their pickles, finds when each word is said, and keeps to the
protocol of docs/plugins.md.
"""

import json
import sys
from pathlib import Path

import libraries
import telling


def main():
    """Do the job whose folder is the only argument."""
    say = telling.Speaker()
    libraries.prepare()
    answer(json.loads((Path(sys.argv[1]) / "job.json").read_text(encoding="utf-8")), say)


def answer(job, say):
    """Do a job and say how it ended."""
    if job["kind"] == "train_voice":
        from learning import learn as work
    else:
        from speaking import speak as work
    try:
        outputs, metrics = work(job, say)
    except telling.UnusableError as error:
        say("failed", code=error.code, cause=error.cause, remedy=error.remedy)
    else:
        say("done", outputs=outputs, metrics=metrics)


if __name__ == "__main__":
    main()
