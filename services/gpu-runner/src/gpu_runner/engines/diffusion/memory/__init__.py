"""How much memory a training takes, how much there is, and what would fit."""
