"""What holds for the tests of all packages."""

import os
import signal
from collections import Counter

import pytest
from hypothesis import settings

# No test is timed: a slow machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Processes that test side by side share the machine, as stages of two lanes do: see `processors`
# in gpu_runner.stage. Set before the libraries that heed it are loaded.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    os.environ["OMP_NUM_THREADS"] = str(max((os.cpu_count() or 1) // workers, 1))

# A runner in the background ignores Ctrl-C, and every program that a test starts would with it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Where the means come from to start a browser, or all services with real engines. Each of these
# wants the whole machine, and waits longest for the slowest of its parts.
_WHOLE_MACHINE = {"tests.support.browser", "tests.support.stack"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that run one after the other, while the others share the cores.

    Files that take long begin first, or the last of them would be waited for alone.
    """
    for item in items:
        if isinstance(item, pytest.Function) and any(
            getattr(value, "__module__", None) in _WHOLE_MACHINE
            for value in vars(item.module).values()
        ):
            item.add_marker(pytest.mark.alone)
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse tests of one name: where they are given out by name, all but one are left out."""
    shared = (item for item in session.items if item.get_closest_marker("alone") is None)
    names = Counter(item.nodeid for item in shared)
    if several := [name for name, count in names.items() if count > 1]:
        raise pytest.UsageError(f"Mark these as alone, or give them names of their own: {several}")
