"""One media stage in a process of its own, as a runner's child does it, for `make bench-media`.

python -m tests.load.media_stage gpu_runner.engines.warp.render_video FOLDER WORK

WORK is JSON: `params`, and `inputs` as paths by name. What it told is written to FOLDER/told.json:
the stage's metrics, and the largest resident sets, in bytes, of both halves of its work.
"""

from __future__ import annotations

import json
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import psutil
from gpu_runner.stage import Report, StageContext

EVERY_S = 0.05


class Halves(Report):
    """Watches how large this process gets until half of the work is done, and after that."""

    def __init__(self) -> None:
        self.peaks = [0, 0]
        self._second = False
        self._process = psutil.Process()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def progress(self, done: float, total: float, unit: str, message: str = "") -> None:
        del unit, message
        self._second = done > total / 2

    def _watch(self) -> None:
        while not self._ended.wait(EVERY_S):
            half = int(self._second)
            self.peaks[half] = max(self.peaks[half], self._process.memory_info().rss)

    def _forget(self, *_: Any, **__: Any) -> None:
        pass

    checkpoint = sample = line = values = _forget


def main(module: str, folder: Path, work: dict[str, Any]) -> None:
    """Do the stage and write down what there is to tell."""
    engine = import_module(module)
    (folder / "scratch").mkdir()
    with Halves() as watch:
        result = engine.run(
            StageContext(
                params=engine.Params.model_validate(work["params"]),
                inputs={name: [Path(path)] for name, path in work["inputs"].items()},
                output=folder,
                scratch=folder / "scratch",
                device="cpu",
                seed=1,
                report=watch,
            )
        )
    told = {"metrics": dict(result.metrics), "peaks": watch.peaks}
    (folder / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))
