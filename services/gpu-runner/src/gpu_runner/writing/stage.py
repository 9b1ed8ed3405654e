"""What every engine of `write_script` does with its draft."""

from __future__ import annotations

from typing import Any

from gpu_runner.stage import StageContext, StageResult
from gpu_runner.writing.draft import Draft


def deliver(context: StageContext, draft: Draft, **metrics: Any) -> StageResult:
    """Outputs `script` and `scene`, each a text file, the second only if there is one."""
    script, scene = context.output / "script.txt", context.output / "scene.txt"
    script.write_text(draft.narration, "utf-8")
    outputs = {"script": [script]}
    if draft.scene:
        scene.write_text(draft.scene, "utf-8")
        outputs["scene"] = [scene]
    words = len(draft.narration.split())
    context.report.line(f"{words} words, {'with' if draft.scene else 'without'} a scene")
    context.report.progress(1, 1, "script")
    return StageResult(outputs, {"words": words, **metrics})
