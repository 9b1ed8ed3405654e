"""The log replayed: folded, decided anew, made into views again, or played back."""
