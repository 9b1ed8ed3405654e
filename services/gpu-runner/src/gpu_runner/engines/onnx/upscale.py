"""`upscale` by the `onnx` engine: a super-resolution model that the operator names.

`MYSPINBOT_UPSCALER` names a file as most of them are published, Real-ESRGAN's among them: float32
pictures [1, 3, h, w] of red, green and blue from 0 to 1 go in, larger ones come out, for any h and
w. Such a file holds a graph and numbers, and no program. Who sends jobs can name none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from gpu_runner.media.upscaling import UpscaleParams, deliver, read
from gpu_runner.models.upscaler import REMEDY, require_model
from gpu_runner.stage import StageContext, StageError, StageResult, processors

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

_PROBE = 16
_MOST_TIMES = 8


class Params(UpscaleParams):
    """What may be chosen."""

    tile: int = Field(
        default=256,
        ge=64,
        le=1024,
        description="Side in pixels of what the model is shown at once; smaller needs less memory",
    )


def run(context: StageContext) -> StageResult:
    """Input `picture`; output `picture`, a PNG that is `factor` times as wide and high.

    A model of another factor is used all the same, and its picture brought to the size asked for.

    Raises:
        StageError: `picture-unreadable` or `picture-too-large`; `upscaler-absent` or
            `upscaler-unusable` for the model.

    """
    import numpy as np

    from gpu_runner.media.enlargement import at_factor, by_tiles, require_room

    params: Params = context.params
    small = read(context)
    enlarge = _loaded(require_model())
    times = _times(enlarge(np.zeros((_PROBE, _PROBE, 3), np.uint8)))
    require_room(small, times)

    def told(done: int, total: int) -> None:
        context.report.progress(done, total, "tile")

    large = by_tiles(small, params.tile, times, enlarge, told)
    height, width = small.shape[:2]
    return deliver(context, small, at_factor(large, params.factor * height, params.factor * width))


def _loaded(model: Path) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """The model as a function of pictures (h, w, 3).

    Raises:
        StageError: `upscaler-unusable`, also when it is called.

    """
    import numpy as np
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as faults

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = processors()
    # What it has against a model would be printed; our own words are told.
    options.log_severity_level = 4
    wrong = (
        faults.Fail,
        faults.InvalidArgument,
        faults.InvalidGraph,
        faults.InvalidProtobuf,
        faults.NoSuchFile,
        faults.NotImplemented,
        faults.RuntimeException,
    )
    try:
        session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
    except wrong as error:
        raise _unusable("cannot be loaded") from error
    taken, given = session.get_inputs(), session.get_outputs()
    if len(taken) != 1 or taken[0].type != "tensor(float)":
        raise _unusable("takes something else than one picture of float32")

    def enlarge(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        shown = rgb.astype(np.float32).transpose(2, 0, 1)[None] / 255
        try:
            made = np.asarray(session.run([given[0].name], {taken[0].name: shown})[0])
        except wrong as error:
            raise _unusable("cannot be shown pictures of any size") from error
        if made.ndim != 4 or made.shape[:2] != (1, 3) or not np.isfinite(made).all():
            raise _unusable("does not give a picture")
        return np.asarray((made[0].transpose(1, 2, 0).clip(0, 1) * 255).round(), np.uint8)

    return enlarge


def _times(probe: NDArray[np.uint8]) -> int:
    """How many times as large the model makes a picture.

    Raises:
        StageError: `upscaler-unusable`.

    """
    times, rest = divmod(probe.shape[0], _PROBE)
    if rest or probe.shape[1] != probe.shape[0] or not 1 < times <= _MOST_TIMES:
        raise _unusable(f"makes {probe.shape[1]} by {probe.shape[0]} pixels of 16 by 16")
    return times


def _unusable(what: str) -> StageError:
    return StageError("upscaler-unusable", f"the model that enlarges pictures {what}", REMEDY)
