"""That nothing is found means something: planted defects are found."""

import pytest

from tests.simulation.mutants import MUTANTS, Plant
from tests.simulation.sample import FIRST, SEEDS
from tests.simulation.tracing import hush
from tests.simulation.world import explore

pytestmark = pytest.mark.long


@pytest.mark.parametrize("plant", MUTANTS, ids=lambda plant: plant.__name__)
def test_the_explorer_finds_a_service_that(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    hush()
    found = next((seed for seed in range(FIRST, FIRST + SEEDS) if explore(seed).violation), None)
    assert found is not None, f"none of {SEEDS} worlds shows it"
