"""For those who answer for the system: who did what, and what it took."""
