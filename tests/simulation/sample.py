"""The seeds that are explored wherever tests run."""

FIRST = 1
SEEDS = 1000
