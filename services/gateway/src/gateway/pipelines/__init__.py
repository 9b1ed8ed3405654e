"""Graphs under a name."""
