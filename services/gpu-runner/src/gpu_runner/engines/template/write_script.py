"""`write_script` by the `template` engine: pleasant sentences around a topic, without a model."""

from __future__ import annotations

from gpu_runner.stage import StageContext, StageResult
from gpu_runner.writing.draft import WriterParams


class Params(WriterParams):
    """What may be chosen for a script."""


def run(context: StageContext) -> StageResult:
    """Input `topic` (UTF-8 text); outputs `script` and `scene` (text files), in English.

    Raises:
        StageError: `topic-not-text`, `topic-empty` or `topic-too-long`.

    """
    from gpu_runner.writing.draft import read_topic
    from gpu_runner.writing.stage import deliver
    from gpu_runner.writing.template import write

    topic = read_topic(context.one("topic").read_bytes())
    return deliver(context, write(topic, context.params, context.seed), writer="template")
