"""Decides what happens next in every job, from the event log alone."""
