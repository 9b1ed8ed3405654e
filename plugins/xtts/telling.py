"""What the program says to its runner: docs/plugins.md."""

import json
import sys


class UnusableError(Exception):
    """The stage cannot be done: a code, the cause, and what to do."""

    def __init__(self, code, cause, remedy):
        super().__init__(cause)
        self.code, self.cause, self.remedy = code, cause, remedy


class Speaker:
    """Says messages on what was standard output, which libraries can no longer write to."""

    def __init__(self):
        self._out = sys.stdout
        sys.stdout = sys.stderr

    def __call__(self, kind, **what):
        self._out.write(json.dumps({"type": kind, **what}) + "\n")
        self._out.flush()
