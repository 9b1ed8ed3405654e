"""Frames whose lower face is MuseTalk's: drawn anew in a square around the face, in one step.

Written after MuseTalk 1.5 (TMElyralab/MuseTalk, MIT; arXiv:2410.10122). Box and mask come from the
face mesh, where its authors take them from a pose network and a parser of faces.
"""

import threading
from functools import lru_cache

import cv2
import hearing
import numpy as np
import torch
from gpu_runner.engines.diffusion.exhaustion import ran_out
from gpu_runner.engines.warp.film import Take
from gpu_runner.engines.warp.geometry import OVAL
from gpu_runner.faces.mesh import CHIN
from gpu_runner.stage import StageError

SIDE = 256
# The middle of the nose's bridge, which is the middle of the box; and the nose's lower end.
BRIDGE, NOSE_END = 195, 2
# Softness of the mask's edge, as a share of the box's width.
FEATHER = 0.05
KEPT_BATCHES = 3


class Talking(Take):
    """A portrait with closed lips, to which MuseTalk gives a mouth."""

    def __init__(self, closed, loaded, speech, params):
        """Prepare.

        Args:
            closed: the take whose frames have closed lips.
            loaded: the networks.
            speech: what is said.
            params: of the stage.

        """
        self.sitter, self.eyes_shut = closed.sitter, closed.eyes_shut
        self._closed, self._loaded, self._params = closed, loaded, params
        self._count = speech.count
        self._states = hearing.hear(loaded, speech.sound, speech.rate)
        shape = self.sitter.canvas.shape[:2]
        self._box = face_box(self.sitter.mesh, shape, params.chin)
        self._mask = lower_face(self.sitter.mesh, self._box)
        self._computing = threading.Lock()
        self._batch = lru_cache(KEPT_BATCHES)(self._compute)

    def frame(self, index):
        number, place = divmod(index, self._params.batch)
        with self._computing:
            return self._batch(number)[place]

    def picture_at(self, index):
        return self._closed.picture_at(index)

    def mesh_of(self, picture):
        return self._closed.mesh_of(picture)

    def at_rest(self, picture):
        return self._closed.at_rest(picture)

    def told(self):
        return {**self._closed.told(), "precision": str(self._loaded.dtype).rpartition(".")[2]}

    def _compute(self, number):
        """The frames of a batch, of which the last may be shorter."""
        first = number * self._params.batch
        numbers = range(first, min(first + self._params.batch, self._count))
        frames = [self._closed.frame(each) for each in numbers]
        left, top, right, bottom = self._box
        crops = [
            cv2.resize(one[top:bottom, left:right], (SIDE, SIDE), interpolation=cv2.INTER_LANCZOS4)
            for one in frames
        ]
        heard = torch.stack(
            [hearing.around(self._states, each, self._params.fps) for each in numbers]
        )
        try:
            faces = draw(self._loaded, crops, heard)
        except (MemoryError, RuntimeError) as error:
            if not ran_out(error):
                raise
            raise StageError(
                "memory-exhausted",
                "a batch of frames does not fit into the device's memory",
                "Choose a smaller batch",
            ) from error
        return [self._laid(frame, face) for frame, face in zip(frames, faces, strict=True)]

    def _laid(self, frame, face):
        """`face` laid onto `frame` where the mask lets it."""
        left, top, right, bottom = self._box
        size = right - left, bottom - top
        shrinks = size[0] < SIDE
        brought = cv2.resize(
            face, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        ).astype(np.float32)
        below = frame[top:bottom, left:right].astype(np.float32)
        whole = frame.copy()
        mixed = below + (brought - below) * self._mask[..., None]
        whole[top:bottom, left:right] = mixed.round().clip(0, 255).astype(np.uint8)
        return whole


@torch.no_grad()
def draw(loaded, crops, heard):
    """Faces as they say what is heard.

    Args:
        loaded: the networks.
        crops: faces (SIDE, SIDE, 3), uint8.
        heard: sound around each [n, tokens, width].

    Returns:
        As many faces (SIDE, SIDE, 3), uint8.

    """
    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    masked = pixels.clone()
    # What is black is to be drawn.
    masked[:, :, SIDE // 2 :] = -1
    latents = torch.cat([_encoded(loaded, masked), _encoded(loaded, pixels)], dim=1)
    step = torch.zeros((), dtype=torch.long, device=loaded.device)
    words = heard.to(loaded.device, loaded.dtype)
    drawn = loaded.unet(latents, step, encoder_hidden_states=words).sample
    decoded = loaded.vae.decode(drawn / loaded.vae.config["scaling_factor"]).sample.float()
    if not decoded.isfinite().all():
        raise StageError(
            "nothing-drawn",
            "the model's numbers overflowed, and its pictures came out empty",
            "Choose the precision fp32",
        )
    levels = decoded.clamp(-1, 1).add(1).mul(127.5).round().byte()
    return list(levels.permute(0, 2, 3, 1).cpu().numpy())


def _encoded(loaded, pixels):
    """Scaled latents of pictures [n, 3, h, w]; their mode, so that the same comes out each time."""
    found = loaded.vae.encode(pixels.to(loaded.device, loaded.dtype)).latent_dist.mode()
    return found * loaded.vae.config["scaling_factor"]


def face_box(mesh, shape, chin):
    """The square-ish part (left, top, right, bottom) of a picture (height, width) to be redrawn.

    It is as wide as the face and as far above the nose's bridge as below it, so that the half that
    is drawn anew begins there; `chin` is the margin below, in pixels of a face of `SIDE`.
    """
    height, width = shape
    oval = mesh.points[list(OVAL), :2]
    left, right = oval[:, 0].min(), oval[:, 0].max()
    low, middle = mesh.points[CHIN, 1], mesh.points[BRIDGE, 1]
    bottom = low + chin * (right - left) / SIDE
    edges = (left, 2 * middle - low, right, bottom)
    limits = (width, height, width, height)
    return tuple(int(np.clip(round(at), 0, most)) for at, most in zip(edges, limits, strict=True))


def lower_face(mesh, box):
    """Where the new face is seen in the box (rows, columns): 1 below the nose, softly to 0."""
    left, top, right, bottom = box
    outline = mesh.points[list(OVAL), :2] - (left, top)
    inside = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(inside, [outline.round().astype(np.int32)], 1)
    # The jaw comes down as the mouth opens: what is straight below the chin's sides belongs to it.
    chin = int(outline[:, 1].max())
    inside[chin:] = inside[max(0, chin - (bottom - top) // 16)]
    inside[: int(mesh.points[NOSE_END, 1] - top)] = 0
    soft = max(1.0, FEATHER * (right - left) / 2)
    mask = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), soft)
    # At the box's own edge nothing may be seen of it.
    rim = int(soft)
    edge = np.zeros_like(mask)
    edge[rim:-rim, rim:-rim] = 1
    return mask * cv2.GaussianBlur(edge, (0, 0), soft / 3)
