"""`write_script` by the `openai` engine: a language model at an endpoint that the operator names.

What the user wrote leaves the machine if the endpoint is elsewhere, so the engine is only used
when it is asked for by name. See docs/scripts.md and docs/adr/0030-written-scripts.md.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from contracts.capabilities import Weights
from contracts.stagelog import Level
from pydantic import Field

from gpu_runner.stage import StageContext, StageError, StageResult
from gpu_runner.writing.draft import WriterParams

if TYPE_CHECKING:
    from gpu_runner.writing.draft import Draft
    from gpu_runner.writing.endpoint import Endpoint

_SETTINGS = "let MYSPINBOT_WRITER_URL and MYSPINBOT_WRITER_MODEL name one where the runner is"


class Params(WriterParams):
    """What may be chosen for a script."""

    fallback: bool = Field(
        default=True,
        description="Write by the template where the endpoint gives no script, instead of failing",
    )


def run(context: StageContext) -> StageResult:
    """Input `topic` (UTF-8 text); outputs `script` and `scene` (text files), in English.

    The metric `writer` tells who wrote it, `fallback` why the endpoint did not.

    Raises:
        StageError: `topic-not-text`, `topic-empty` or `topic-too-long`; `writer-absent` or
            `writer-failed` without `fallback`.

    """
    from servicekit.settings import Environment, SettingsError

    from gpu_runner.writing.draft import read_topic
    from gpu_runner.writing.endpoint import Endpoint, EndpointError
    from gpu_runner.writing.stage import deliver
    from gpu_runner.writing.template import write

    params: Params = context.params
    topic = read_topic(context.one("topic").read_bytes())
    try:
        endpoint = Endpoint.of(Environment.current())
    except SettingsError as error:
        raise _absent("the settings of the endpoint that writes scripts are wrong") from error
    if endpoint is None:
        raise _absent("no endpoint writes scripts")
    context.report.progress(0, 1, "script", "asking the endpoint")
    try:
        draft = _asked(endpoint, topic, params, context.seed)
    except EndpointError as error:
        if not params.fallback:
            raise StageError(
                "writer-failed",
                str(error),
                "Try again, choose the engine template, or ask the operator about the endpoint",
                retryable=error.reason in ("away", "timeout"),
            ) from error
        context.report.line(f"{error}: written by the template instead", Level.WARNING)
        written = write(topic, params, context.seed)
        return deliver(context, written, writer="template", fallback=error.reason)
    return deliver(context, draft, writer="endpoint")


def _absent(cause: str) -> StageError:
    return StageError("writer-absent", cause, f"{_SETTINGS[0].upper()}{_SETTINGS[1:]}")


def _asked(endpoint: Endpoint, topic: str, params: Params, seed: int) -> Draft:
    """The endpoint's draft, if it can be spoken; EndpointError otherwise."""
    from gpu_runner.speech.script import parse_script
    from gpu_runner.writing.endpoint import EndpointError

    draft = endpoint.write(topic, params, seed)
    try:
        parse_script(draft.narration.encode())
    except StageError as error:
        raise EndpointError("unspeakable", f"of the answer {error.cause}") from error
    return draft


def lacking() -> tuple[Weights, ...]:
    """What the runner announces to be missing: the settings, if they are not there."""
    names = ("URL", "MODEL")
    if all(os.environ.get(f"MYSPINBOT_WRITER_{name}") for name in names):
        return ()
    return (
        Weights(
            name="an endpoint that writes scripts",
            size_bytes=0,
            licence="of its model",
            how_to_get=_SETTINGS,
        ),
    )
