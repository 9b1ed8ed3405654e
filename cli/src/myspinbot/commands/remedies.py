"""What to do about a refusal, said to somebody at a command line.

The gateway's own remedies speak of requests, as they must: programs and the page read them too.
"""

from __future__ import annotations

from myspinbot.client.errors import ApiError
from myspinbot.errors import CommandError

_SCHEMA = "`allowed` has their schema."
_REMEDIES = {
    "before-the-job": "`myspinbot events tail` lists the positions at which a job changed.",
    "forbidden": "Use a token with that scope: an administrator makes one with "
    "`myspinbot tokens create NAME --scope …`.",
    "invalid-request": "Correct it and try again; --help has examples.",
    "job-is-running": "Stop it first with `myspinbot cancel`.",
    "no-such-artifact": "`myspinbot show` lists what a job has made.",
    "no-such-delivery": "`myspinbot webhooks deliveries` lists them.",
    "no-such-job": "`myspinbot jobs` lists yours; `last` stands for the newest.",
    "no-such-pipeline": "`myspinbot pipelines` lists them.",
    "no-such-profile": "`myspinbot profiles` lists yours.",
    "no-such-token": "`myspinbot tokens` lists yours.",
    "no-such-webhook": "`myspinbot webhooks` lists yours.",
    "not-found": "Check what you named, and that --api is the address of a MySpinBot of this "
    "version.",
    "unauthenticated": "Give a token with --token-file or MYSPINBOT_TOKEN; an administrator makes "
    "one with `myspinbot tokens create NAME`.",
    "webhook-inactive": "`myspinbot webhooks test` makes it active again if that succeeds.",
}


def at_command_line(error: CommandError) -> str:
    """The remedy of an error in terms of commands, where there is one; else its own."""
    if isinstance(error, ApiError):
        own = error.remedy.replace(_SCHEMA, "`myspinbot models KIND` has their limits.")
        return _REMEDIES.get(error.type.rpartition("/")[2], own)
    return error.remedy
