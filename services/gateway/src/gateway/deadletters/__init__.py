"""Attempts that killed every runner that took them: looked at, tried again, let rest."""
