"""A portrait that speaks: the take of the engine `warp`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpu_runner.engines.warp.backdrop import Backdrop
from gpu_runner.engines.warp.compose import Renderer, moments
from gpu_runner.engines.warp.eyes import build_lids, is_drawing
from gpu_runner.engines.warp.film import Take
from gpu_runner.engines.warp.measure import PAUSE
from gpu_runner.engines.warp.motion import live
from gpu_runner.engines.warp.neutral import neutralise
from gpu_runner.engines.warp.speaker import require_mouth

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gpu_runner.engines.warp.film import Speech
    from gpu_runner.engines.warp.inputs import Sitter
    from gpu_runner.engines.warp.params import Params
    from gpu_runner.faces.mesh import Mesh


class Portrait(Take):
    """One picture, warped for every frame."""

    def __init__(
        self, sitter: Sitter, speech: Speech, params: Params, rng: np.random.Generator
    ) -> None:
        """Prepare `sitter` to say `speech`; `rng` is where its own small movements come from.

        Raises:
            StageError: `mouth-hidden`.

        """
        self.sitter = sitter
        portrait, mesh = sitter.portrait()
        self._drawn = is_drawing(portrait, mesh.points)
        # A drawn face with something before its mouth is not found to be one at all.
        if not self._drawn:
            require_mouth(portrait, mesh)
        face = neutralise(portrait, mesh.points)
        lids = build_lids(face, drawn=self._drawn) if params.blink else None
        self._blinks = lids is not None
        self._renderer = Renderer(face, lids, drawn=self._drawn, goes_on=sitter.goes_on())
        self._backdrop = Backdrop(sitter.canvas, sitter.region, sitter.mesh, params.background_blur)
        motion = live(speech.mouth.loudness, speech.timings.pauses(PAUSE), params.fps, rng)
        self.eyes_shut = motion.blink
        self._story = moments(speech.mouth, motion, params.motion)

    def frame(self, index: int) -> NDArray[np.uint8]:
        return self._backdrop.behind(self._renderer.frame(self._story[index]))

    def picture_at(self, index: int) -> int:
        del index
        return 0

    def mesh_of(self, picture: int) -> Mesh:
        del picture
        return self.sitter.mesh

    def at_rest(self, picture: int) -> NDArray[np.uint8]:
        del picture
        return self._backdrop.behind(self._renderer.frame(self._renderer.at_rest()))

    def told(self) -> dict[str, Any]:
        return {
            "portrait": "drawing" if self._drawn else "photograph",
            "blinks": self._blinks,
        }
