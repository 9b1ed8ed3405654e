"""When words are said, of attention that is known: the plug-in's own arithmetic."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import numpy as np
import pytest
from xtts_support import SOURCE


@pytest.fixture(scope="module")
def alignment() -> ModuleType:
    spec = importlib.util.spec_from_file_location("xtts_alignment", SOURCE / "alignment.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def looks_at(edges: list[int]) -> np.ndarray:
    """Weights (frames, tokens) of a head that looks at each token between two edges."""
    frames, tokens = edges[-1], len(edges) - 1
    weights = np.full((frames, tokens), 0.02)
    for token in range(tokens):
        weights[edges[token] : edges[token + 1], token] = 1.0
    return weights / weights.sum(axis=1, keepdims=True)


def test_a_token_lasts_as_long_as_it_is_looked_at(alignment: ModuleType) -> None:
    edges = [0, 5, 9, 30, 33, 40]
    found = alignment.monotonic_edges(looks_at(edges))
    assert found == pytest.approx(np.array(edges) / 40)


def test_the_heads_that_follow_the_text_are_found_among_the_others(alignment: ModuleType) -> None:
    chance = np.random.default_rng(3)
    edges = [0, 4, 20, 24, 40]
    heads = chance.dirichlet(np.ones(4), size=(24, 40))
    following = [2, 3, 5, 8, 13, 14, 20, 21]
    heads[following] = looks_at(edges)
    backwards = [1, 7]
    heads[backwards] = looks_at(edges)[::-1]
    found = alignment.monotonic_edges(alignment._steadiest(heads))
    assert found == pytest.approx(np.array(edges) / 40)


def test_without_anything_to_see_text_passes_evenly(alignment: ModuleType) -> None:
    found = alignment.monotonic_edges(np.full((60, 6), 1 / 6))
    assert found == pytest.approx(np.arange(7) / 6, abs=1 / 60)


@pytest.mark.parametrize("frames", [1, 3, 7])
def test_more_tokens_than_frames_share_them(alignment: ModuleType, frames: int) -> None:
    found = alignment.monotonic_edges(np.full((frames, 4), 0.25))
    assert found.tolist() == [0, 0.25, 0.5, 0.75, 1]
