"""Python's garbage collector, set for work that makes very many objects and hardly a cycle."""

from __future__ import annotations

import gc


def calm() -> None:
    """Collect seldom, and never look again at what has been made so far.

    A batch of events is tens of thousands of objects that go with it; at its usual pace the
    collector would take a fifth of the time of a rebuild.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(500_000, 20, 50)
