"""That nothing is found means something: planted defects are found."""

import pytest

from tests.simulation.mutants import MUTANTS, Plant
from tests.simulation.sample import FIRST, SEEDS
from tests.simulation.tracing import hush
from tests.simulation.world import explore

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    ("plant", "near"), MUTANTS.items(), ids=[plant.__name__ for plant in MUTANTS]
)
def test_the_explorer_finds_a_service_that(
    plant: Plant, near: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    hush()
    seeds = (*range(near, FIRST + SEEDS), *range(FIRST, near))
    found = next((seed for seed in seeds if explore(seed).violation), None)
    assert found is not None, f"none of {SEEDS} worlds shows it"
