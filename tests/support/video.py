"""Whether a file is a video that can be watched: asked after tests that had one made."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest


def assert_shows_and_sounds(path: Path) -> None:
    """Fail unless it is H.264 and AAC of the same length, with something to see and to hear."""
    with av.open(str(path)) as container:
        [video], [audio] = container.streams.video, container.streams.audio
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        seconds = [float(s.duration * s.time_base) for s in (video, audio)]
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video)]
        container.seek(0)
        loudest = max(np.abs(frame.to_ndarray()).max() for frame in container.decode(audio))
    assert abs(seconds[0] - seconds[1]) <= 0.1
    assert len(frames) == pytest.approx(seconds[0] * float(video.average_rate), abs=1)
    assert all(frame.std() > 10 for frame in (frames[0], frames[-1])), "it is one plain area"
    assert loudest > 0.05, "it is silent"
