"""Backup and restore of a whole installation: log, views, objects and keys, kept in one folder."""
