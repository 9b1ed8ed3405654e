"""A sample of the soak, the same each time: see `make soak-faults`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.soak import Tally, soak

pytestmark = [pytest.mark.long, pytest.mark.alone]

FAULTS = 40


def test_a_sample_of_seeded_faults_loses_nothing_and_goes_on_where_it_was(tmp_path: Path) -> None:
    kept = tmp_path / "soak.json"
    soak(FAULTS // 2, first_seed=1, kept=kept)
    half = Tally.read(kept)
    tally = soak(FAULTS, first_seed=1, kept=kept)
    assert tally.rounds > half.rounds
    assert tally.faults.total() >= FAULTS
    assert tally.jobs == 4 * tally.rounds
