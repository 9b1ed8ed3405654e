"""A sample of simulated worlds: whatever befalls them, what must hold does (reliability.md)."""

import os
import re
import subprocess
import sys

import pytest

from tests.simulation.sample import FIRST, SEEDS
from tests.simulation.tracing import hush
from tests.simulation.world import explore

pytestmark = pytest.mark.long

_AT_ONCE = 100


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, _AT_ONCE))
def test_all_that_must_hold_does_in_every_world_of_the_sample(first: int) -> None:
    hush()
    told = [
        f"{outcome.violation}\n    replay: python -m tests.simulation --seed {outcome.seed} --trace"
        for outcome in map(explore, range(first, first + _AT_ONCE))
        if outcome.violation
    ]
    assert not told, "\n".join(told)


# Names of readers and batches are random and decide nothing.
_NAMES = re.compile(r"\b[0-9a-f]{12,16}\b")


@pytest.mark.parametrize("seed", [FIRST + 2, FIRST + 4])
def test_a_seed_replays_to_the_letter_in_another_process(seed: int) -> None:
    traces = []
    for hashing in ("1", "2"):
        replayed = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", str(seed), "--trace"],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
            env={**os.environ, "PYTHONHASHSEED": hashing},
        )
        traces.append([_NAMES.sub("·", line) for line in replayed.stdout.splitlines()])
    assert len(traces[0]) > 20
    assert traces[0] == traces[1]
