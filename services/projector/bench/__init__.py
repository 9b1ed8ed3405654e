"""Measurements of the projector; run by hand or by `make bench`."""
