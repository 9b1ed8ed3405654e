"""A video that is there already, as a take: its frames, read one after the other."""

import threading
from collections import OrderedDict

import av
import cv2
import numpy as np
from gpu_runner.engines.warp.film import Take
from gpu_runner.stage import StageError

# Frames are asked for nearly in their order, by a few threads.
KEPT = 24
# SadTalker leaves off a frame or two at the end; a video of less than this share is no whole one.
LEAST = 0.9


class Played(Take):
    """Frames of a file. The last stays for as long as the speech goes on."""

    def __init__(self, path, sitter, count):
        """Open `path`, to be shown for `count` frames.

        Raises:
            StageError: `sadtalker-failed` if it is no video, or one that is too short.

        """
        self.sitter = sitter
        self.eyes_shut = np.zeros(count)
        height, width = sitter.canvas.shape[:2]
        self._size = width, height
        self._kept = OrderedDict()
        self._next = 0
        self._reading = threading.Lock()
        try:
            self._file = av.open(str(path))
            there = sum(1 for _ in self._file.decode(video=0))
            self._file.seek(0)
        except (av.FFmpegError, IndexError) as error:
            raise _unusable("it cannot be read") from error
        if there < LEAST * count:
            self._file.close()
            raise _unusable(f"it has {there} frames instead of {count}")
        self._last = there - 1
        self._frames = self._file.decode(video=0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def frame(self, index):
        wanted = min(index, self._last)
        with self._reading:
            while self._next <= wanted:
                self._kept[self._next] = self._brought(next(self._frames))
                self._next += 1
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            return self._kept[wanted]

    def picture_at(self, index):
        del index
        return 0

    def mesh_of(self, picture):
        del picture
        return self.sitter.mesh

    def at_rest(self, picture):
        """The portrait: whose lips it has opened, nobody can tell here."""
        del picture
        return self.sitter.canvas

    def told(self):
        return {"frames_drawn": self._last + 1}

    def _brought(self, frame):
        """A frame in the canvas's size (height, width, 3)."""
        rgb = frame.to_ndarray(format="rgb24")
        width, height = self._size
        if rgb.shape[:2] == (height, width):
            return rgb
        method = cv2.INTER_AREA if rgb.shape[1] > width else cv2.INTER_CUBIC
        return cv2.resize(rgb, self._size, interpolation=method)


def _unusable(why):
    return StageError(
        "sadtalker-failed",
        f"SadTalker's video is not usable: {why}",
        "Try again, or try its inference.py by hand",
        retryable=True,
    )
