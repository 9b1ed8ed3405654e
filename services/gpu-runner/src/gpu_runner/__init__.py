"""Runs stage commands on this machine's hardware, each in a child process."""
